/** @file SAM's encoder of prompts and decoder of masks: Kirillov et al. 2023, appendix A. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { gelu } from '../../layers/activations.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import { asSequence } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';

/** Epsilon of the norms of maps, whatever config.json says. */
export const SAM_EPSILON = 1e-6;
/** Epsilon of the norm after the last attention. */
const LAST_EPSILON = 1e-5;
/** Downsampling of attention between prompts and image in each layer; config.json gives the last one's only. */
const NARROWER = 2;

export interface MaskSizes extends TransformerSizes {
  /** Downsampling of the last attention. */
  readonly narrower: number;
  readonly masks: number;
  readonly scoreDepth: number;
  readonly scoreInner: number;
  /** Pixels per side, the unit of points. */
  readonly image: number;
  readonly side: number;
  /** Number of sines per position, and of cosines. */
  readonly waves: number;
}

/** Reads the fields, and checks them against the image encoder's. */
export function maskSizes(prompt: Config, decoder: Config, vision: Config): MaskSizes {
  // The graph has no mask or box prompts.
  prompt.skip(
    'hidden_act',
    'layer_norm_eps',
    'mask_input_channels',
    'num_point_embeddings',
    'image_embedding_size',
    'projection_dim',
  );
  decoder.skip('projection_dim');
  const [image, patch] = [prompt.size('image_size', 1024), prompt.size('patch_size', 16)];
  const hidden = decoder.size('hidden_size', 256);
  const waves = vision.size('num_pos_feats', 128);
  if (prompt.size('hidden_size', 256) !== hidden) throw prompt.unsupported('hidden_size', `The decoder has ${hidden}.`);
  if (vision.size('output_channels', 256) !== hidden)
    throw vision.unsupported('output_channels', `The decoder has ${hidden}.`);
  if (2 * waves !== hidden) throw vision.unsupported('num_pos_feats', `It is half of the decoder's ${hidden}.`);
  return {
    hidden,
    layers: decoder.size('num_hidden_layers', 2),
    heads: decoder.divisor('num_attention_heads', hidden / NARROWER, 8),
    inner: decoder.size('mlp_dim', 2048),
    act: decoder.activation('hidden_act', 'relu'),
    eps: decoder.number('layer_norm_eps', 1e-6),
    narrower: decoder.divisor('attention_downsample_rate', hidden / decoder.size('num_attention_heads', 8), 2),
    masks: decoder.size('num_multimask_outputs', 3),
    scoreDepth: decoder.size('iou_head_depth', 3),
    scoreInner: decoder.size('iou_head_hidden_dim', 256),
    image,
    side: Math.floor(image / patch),
    waves,
  };
}

export function samMlp(
  m: Module,
  x: Value,
  { act, inner, hidden }: Pick<MaskSizes, 'act' | 'inner' | 'hidden'>,
): Value {
  return m.linear('lin2', act(m.g, m.linear('lin1', x, inner)), hidden);
}

const tables = { image: 'shared_image_embedding', prompts: 'prompt_encoder.shared_embedding' };

/** The projection of positions, `[2, waves]`. A checkpoint with one table uses it for both. */
export function positionTable(m: Module, waves: number, of: keyof typeof tables): Value {
  const names = [tables[of], ...Object.values(tables)].map((path) => `${path}.positional_embedding`);
  return m.parameter(names.find((name) => m.has(name)) ?? names[0]!, [2, waves]);
}

/** Points `[…, 2]`, 0 to 1, as random Fourier features `[…, 2 · waves]`: Tancik et al. 2020. */
export function placed({ g }: Module, points: Value, table: Value): Value {
  // No MatMul: the table is no adaptable layer.
  const [across, down] = g.Split(g.Sub(g.Mul(points, 2), 1), [1, 1], -1) as [Value, Value];
  const [first, second] = g.Split(table, [1, 1], 0) as [Value, Value];
  const angles = g.Mul(g.Add(g.Mul(across, first), g.Mul(down, second)), 2 * Math.PI);
  return g.Concat([g.Sin(angles), g.Cos(angles)], -1);
}

/** Points and labels as tokens, with an extra "no box" token: `[masks, points + 1, hidden]`. */
function prompts(m: Module, points: Value, labels: Value, s: MaskSizes): Value {
  const { g } = m;
  const encoder = m.at('prompt_encoder');
  const embedded = (name: string): Value => encoder.at(name).parameter('weight', [1, s.hidden]);
  const flat = g.emit('Reshape', [points, g.Concat([g.ints([-1]), m.sizeOf(points, 2), g.ints([2])], 0)]);
  const kinds = g.Unsqueeze(g.Reshape(labels, g.Concat([g.ints([-1]), m.sizeOf(labels, 2)], 0)), [2]);
  const isKind = (label: number): Value => g.Equal(kinds, g.scalar(label, 'int64'));
  let x = placed(m, g.Div(g.Add(flat, 0.5), s.image), positionTable(m, s.waves, 'prompts'));
  x = g.Where(isKind(-1), embedded('not_a_point_embed'), x);
  x = g.Where(isKind(-10), 0, x);
  for (const label of [0, 1]) x = g.Add(x, g.Where(isKind(label), embedded(`point_embed.${label}`), 0));
  const none = g.Expand(
    g.Unsqueeze(embedded('not_a_point_embed'), [0]),
    g.Concat([m.sizeOf(flat, 0), g.ints([1, 1])], 0),
  );
  return g.Concat([x, none], 1);
}

/** Downsampled attention with separate keys and values. */
function attention(
  m: Module,
  from: readonly [q: Value, k: Value, v: Value],
  { hidden, heads }: MaskSizes,
  narrower = 1,
): Value {
  const names = ['q_proj', 'k_proj', 'v_proj'];
  const inner = Math.floor(hidden / narrower);
  const [q, k, v] = from.map((x, i) => splitHeads(m, m.linear(names[i]!, x, inner), heads)) as [Value, Value, Value];
  return m.linear('out_proj', attend(m, { q, k, v }), hidden);
}

interface TwoWays {
  readonly tokens: Value;
  readonly image: Value;
}

function twoWayLayer(m: Module, { tokens, image }: TwoWays, places: TwoWays, isFirst: boolean, s: MaskSizes): TwoWays {
  const { g } = m;
  const atTokens = (x: Value): Value => g.Add(x, places.tokens);
  const keys = g.Add(image, places.image);
  const self = m.at('self_attn');
  const own = isFirst ? tokens : atTokens(tokens);
  const attended = attention(self, [own, own, tokens], s);
  let x = m.layerNorm('layer_norm1', isFirst ? attended : g.Add(tokens, attended), s.eps);
  const seen = attention(m.at('cross_attn_token_to_image'), [atTokens(x), keys, image], s, NARROWER);
  x = m.layerNorm('layer_norm2', g.Add(x, seen), s.eps);
  x = m.layerNorm('layer_norm3', g.Add(x, samMlp(m.at('mlp'), x, s)), s.eps);
  const told = attention(m.at('cross_attn_image_to_token'), [keys, atTokens(x), x], s, NARROWER);
  return { tokens: x, image: m.layerNorm('layer_norm4', g.Add(image, told), s.eps) };
}

function twoWays(m: Module, tokens: Value, image: Value, positions: Value, s: MaskSizes): TwoWays {
  const { g } = m;
  const places = { tokens, image: positions };
  let x: TwoWays = { tokens, image };
  for (const [i, each] of m.list('layers', s.layers).entries()) x = twoWayLayer(each, x, places, i === 0, s);
  const from = [g.Add(x.tokens, tokens), g.Add(x.image, positions), x.image] as const;
  const seen = attention(m.at('final_attn_token_to_image'), from, s, s.narrower);
  return { tokens: m.layerNorm('layer_norm_final_attn', g.Add(x.tokens, seen), LAST_EPSILON), image: x.image };
}

function feedForward(m: Module, x: Value, { inner, out, depth }: { inner: number; out: number; depth: number }): Value {
  let y = m.g.Relu(m.linear('proj_in', x, inner));
  for (let i = 0; i < depth - 2; i++) y = m.g.Relu(m.linear(`layers.${i}`, y, inner));
  return m.linear('proj_out', y, out);
}

function doubled(m: Module, name: string, x: Value, out: number): Value {
  const layer = m.at(name);
  const parameters = [layer.parameter('weight', [Number(x.shape![1]), out, 2, 2]), layer.parameter('bias', [out])];
  return layer.g.emit('ConvTranspose', [x, ...parameters], { kernel_shape: [2, 2], strides: [2, 2] });
}

/** The graph of masks per prompt and their predicted quality. */
export function maskGraph(m: Module, s: MaskSizes): void {
  const { g, graph } = m;
  const { hidden, side } = s;
  const prompt = ['batch_size', 'point_batch_size', 'nb_points_per_image'] as const;
  const points = graph.input('input_points', 'float32', [...prompt, 2]);
  const labels = graph.input('input_labels', 'int64', prompt);
  const map = graph.input('image_embeddings', 'float32', ['batch_size', hidden, side, side]);
  const positions = graph.input('image_positional_embeddings', 'float32', ['batch_size', hidden, side, side]);
  const counts = g.Slice(g.Shape(points), [0], [2], [0]);
  /** Repeats per prompt: `[masks, side², hidden]`. */
  const perPrompt = (x: Value): Value => {
    const all = g.Expand(g.Unsqueeze(asSequence(m, x), [1]), g.Concat([counts, g.ints([side ** 2, hidden])], 0));
    return g.Reshape(all, [-1, side ** 2, hidden]);
  };
  const decoder = m.at('mask_decoder');
  const noMask = m.at('prompt_encoder.no_mask_embed').parameter('weight', [1, hidden]);
  const asked = prompts(m, points, labels, s);
  const learned = g.Concat([decoder.at('iou_token').parameter('weight', [1, hidden]), decoder.at('mask_tokens').parameter('weight', [s.masks + 1, hidden])], 0); // prettier-ignore
  const own = g.Expand(g.Unsqueeze(learned, [0]), g.Concat([m.sizeOf(asked, 0), g.ints([s.masks + 2, hidden])], 0));
  const image = perPrompt(g.Add(map, g.Reshape(noMask, [1, hidden, 1, 1])));
  const x = twoWays(decoder.at('transformer'), g.Concat([own, asked], 1), image, perPrompt(positions), s);
  const scores = feedForward(decoder.at('iou_prediction_head'), m.row(x.tokens, 0), { inner: s.scoreInner, out: s.masks + 1, depth: s.scoreDepth }); // prettier-ignore
  const masks = g.MatMul(maskVectors(decoder, x.tokens, s), upscaled(decoder, x.image, s));
  // The first mask is for single-mask output.
  const wanted = g.Slice(scores, [1], [s.masks + 1], [1]);
  graph.output('iou_scores', g.Reshape(wanted, g.Concat([counts, g.ints([s.masks])], 0)));
  graph.output('pred_masks', g.Reshape(masks, g.Concat([counts, g.ints([s.masks, 4 * side, 4 * side])], 0)));
}

/** Channel weights per mask: `[masks, kinds, hidden ÷ 8]`. */
function maskVectors(m: Module, tokens: Value, { hidden, masks }: MaskSizes): Value {
  const each = Array.from({ length: masks }, (_, i) => {
    const mlp = m.at(`output_hypernetworks_mlps.${i + 1}`);
    const out = Math.floor(hidden / 8);
    return m.g.Unsqueeze(feedForward(mlp, m.row(tokens, i + 2), { inner: hidden, out, depth: 3 }), [1]);
  });
  return m.g.Concat(each, 1);
}

/** The image's map at four times its size: `[masks, hidden ÷ 8, 16 · side²]`. */
function upscaled(m: Module, image: Value, { hidden, side }: MaskSizes): Value {
  const { g } = m;
  const map = g.Reshape(g.Transpose(image, [0, 2, 1]), [-1, hidden, side, side]);
  const first = doubled(m, 'upscale_conv1', map, Math.floor(hidden / 4));
  const second = doubled(
    m,
    'upscale_conv2',
    gelu(g, m.channelNorm('upscale_layer_norm', first, SAM_EPSILON)),
    Math.floor(hidden / 8),
  );
  return g.Reshape(gelu(g, second), [0, Math.floor(hidden / 8), -1]);
}
