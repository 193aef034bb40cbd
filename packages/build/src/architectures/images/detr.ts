/** @file DETR: Carion et al. 2020, "End-to-end object detection with transformers". */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { type Activation, activationNamed } from '../../layers/activations.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { Stack } from '../../layers/sizes.ts';
import { asSequence } from '../../layers/images/patches.ts';
import { resnetMap, type ResnetNames, resnetNames, type ResnetSizes, resnetSizes } from './resnet.ts';

interface Sizes {
  readonly backbone: ResnetSizes;
  readonly names: ResnetNames;
  readonly hidden: number;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly queries: number;
  readonly act: Activation;
  readonly isLearned: boolean;
  /** Applies the decoder's norm after each layer, as training with auxiliary losses does. */
  readonly normsEach: boolean;
}

const EPSILON = 1e-5;
/** Rows and columns of learned positions. */
const MOST_PLACES = 50;

function sizes(c: Config): Sizes {
  c.skip(
    'class_cost',
    'bbox_cost',
    'giou_cost',
    'mask_loss_coefficient',
    'dice_loss_coefficient',
    'bbox_loss_coefficient',
  );
  c.skip('giou_loss_coefficient', 'eos_coefficient', 'init_xavier_std', 'num_hidden_layers', 'use_pretrained_backbone');
  c.skip('max_position_embeddings', 'scale_embedding');
  c.only('dilation', false, null);
  const hidden = c.size('d_model', 256);
  if (hidden % 4 !== 0)
    throw c.unsupported('d_model', 'A position is sines and cosines of rows and of columns: a multiple of 4.');
  const stack = (name: string): Stack => ({
    layers: c.size(`${name}_layers`, 6),
    heads: c.divisor(`${name}_attention_heads`, hidden, 8),
    inner: c.size(`${name}_ffn_dim`, 2048),
  });
  return {
    ...backboneSizes(c),
    hidden,
    encoder: stack('encoder'),
    decoder: stack('decoder'),
    queries: c.size('num_queries', 100),
    act: c.activation('activation_function', 'relu'),
    isLearned: c.word('position_embedding_type', ['sine', 'learned'], 'sine') === 'learned',
    normsEach: c.flag('auxiliary_loss', false),
  };
}

const timmNames: ResnetNames = {
  stem: ['conv1', 'bn1'],
  block: (stage, index) => `layer${stage + 1}.${index}`,
  layer: (index) => [`conv${index + 1}`, `bn${index + 1}`],
  shortcut: ['downsample.0', 'downsample.1'],
};
const timmDepths: Readonly<Record<string, readonly number[]>> = { resnet50: [3, 4, 6, 3], resnet101: [3, 4, 23, 3] };

const ONLY_LAST = 'Its last stage is what DETR looks at.';

function backboneSizes(c: Config): Pick<Sizes, 'backbone' | 'names'> {
  if (!c.has('backbone_config')) {
    c.only('use_timm_backbone', true);
    return timmSizes(c, c.inner('backbone_kwargs'), c.size('num_channels', 3));
  }
  c.skip('use_timm_backbone', 'backbone', 'backbone_kwargs', 'num_channels');
  const own = c.inner('backbone_config');
  const type = own.word('model_type', ['resnet', 'timm_backbone'], 'resnet');
  if (type === 'timm_backbone') return timmSizes(own, own, own.size('num_channels', 3));
  own.skip('stage_names', 'out_indices');
  const backbone = resnetSizes(own);
  const count = backbone.stages.length;
  const name = own.has('out_features') ? 'out_features' : 'out_indices';
  const named: unknown = own.raw(name);
  if (Array.isArray(named) && ![count, -1, `stage${count}`].includes(named.at(-1) as number))
    throw own.unsupported(name, ONLY_LAST);
  return { backbone, names: resnetNames };
}

function timmSizes(c: Config, options: Config, channels: number): Pick<Sizes, 'backbone' | 'names'> {
  const name = c.word('backbone', Object.keys(timmDepths), 'resnet50');
  options.skip(
    'in_chans',
    'features_only',
    'use_pretrained_backbone',
    'freeze_batch_norm_2d',
    'out_features',
    'stage_names',
  );
  options.only('output_stride', undefined, 32);
  const indices = options.numbers('out_indices', [1, 2, 3, 4]);
  if (![4, -1].includes(indices.at(-1)!)) throw options.unsupported('out_indices', ONLY_LAST);
  const stages = timmDepths[name]!.map((depth, i) => ({ depth, width: 256 * 2 ** i, stride: i === 0 ? 1 : 2 }));
  const act = activationNamed('relu')!;
  return { backbone: { channels, stem: 64, stages, isBottleneck: true, stridesFirst: false, act }, names: timmNames };
}

/** Attention of x on `from`; positions are added to queries and keys only. */
interface Looking {
  readonly x: Value;
  readonly from: Value;
  readonly places: readonly [x: Value, from: Value];
  readonly heads: number;
}

function attention(m: Module, { x, from, places, heads }: Looking): Value {
  const hidden = Number(x.shape!.at(-1));
  const inputs = { q_proj: m.g.Add(x, places[0]), k_proj: m.g.Add(from, places[1]), v_proj: from };
  const [q, k, v] = Object.entries(inputs).map(([name, each]) => splitHeads(m, m.linear(name, each, hidden), heads)) as [Value, Value, Value]; // prettier-ignore
  return m.linear('out_proj', attend(m, { q, k, v }), hidden);
}

function added(m: Module, name: string, x: Value, y: Value): Value {
  return m.layerNorm(name, m.g.Add(x, y), EPSILON);
}

function mlp(m: Module, x: Value, inner: number, { act, hidden }: Sizes): Value {
  return added(m, 'final_layer_norm', x, m.linear('fc2', act(m.g, m.linear('fc1', x, inner)), hidden));
}

/** Sines and cosines of rows, then of columns: `[1, height · width, hidden]`. */
function sinePositions(m: Module, map: Value, hidden: number): Value {
  const { g } = m;
  const quarter = hidden / 4;
  const waves = Float32Array.from({ length: quarter }, (_, i) => (2 * Math.PI) / 10_000 ** ((2 * i) / (hidden / 2)));
  const sizes = g.Shape(map);
  const plane = g.Slice(sizes, [2], [4], [0]);
  const axes = [2, 3].map((axis) => {
    const size = g.Slice(sizes, [axis], [axis + 1], [0]);
    const places = g.Div(g.Add(m.floats(m.range(0, size)), 1), g.Add(m.floats(size), 1e-6));
    const angles = g.Mul(g.Unsqueeze(places, [1]), g.constant(float32(waves, [1, quarter])));
    const pairs = g.Concat([g.Unsqueeze(g.Sin(angles), [2]), g.Unsqueeze(g.Cos(angles), [2])], 2);
    const each = g.Unsqueeze(g.Reshape(pairs, [-1, hidden / 2]), [axis === 2 ? 1 : 0]);
    return g.Expand(each, g.Concat([plane, g.ints([hidden / 2])], 0));
  });
  return g.Reshape(g.Concat(axes, 2), [1, -1, hidden]);
}

function learnedPositions(m: Module, map: Value, hidden: number): Value {
  const { g } = m;
  // In the backbone in transformers 4.
  const own = ['backbone.position_embedding', 'position_embedding'].map((path) => m.at(path));
  const tables = own.find((each) => each.has('row_embeddings.weight')) ?? own[0]!;
  const sizes = g.Shape(map);
  const plane = g.Slice(sizes, [2], [4], [0]);
  const axes = (['column_embeddings', 'row_embeddings'] as const).map((name, i) => {
    const size = g.Slice(sizes, [3 - i], [4 - i], [0]);
    const each = g.Unsqueeze(tables.embedding(name, m.range(0, size), MOST_PLACES, hidden / 2), [i]);
    return g.Expand(each, g.Concat([plane, g.ints([hidden / 2])], 0));
  });
  return g.Reshape(g.Concat(axes, 2), [1, -1, hidden]);
}

/** Decoder states per query `[batch, queries, hidden]`, and encoder states per place. */
function states(m: Module, s: Sizes): { readonly found: Value; readonly encoded: Value } {
  const { g } = m;
  const { hidden } = s;
  const map = m.conv('input_projection', resnetMap(m.at('backbone.conv_encoder.model'), s.backbone, s.names), { out: hidden, kernel: [1, 1] }); // prettier-ignore
  const places = s.isLearned ? learnedPositions(m, map, hidden) : sinePositions(m, map, hidden);
  let encoded = asSequence(m, map);
  for (const each of m.list('encoder.layers', s.encoder.layers)) {
    const seen = { x: encoded, from: encoded, places: [places, places], heads: s.encoder.heads } as const;
    const attended = added(each, 'self_attn_layer_norm', encoded, attention(each.at('self_attn'), seen));
    encoded = mlp(each, attended, s.encoder.inner, s);
  }
  const queries = g.Unsqueeze(m.at('query_position_embeddings').parameter('weight', [s.queries, hidden]), [0]);
  const decoder = m.at('decoder');
  const norm = (x: Value): Value => decoder.layerNorm('layernorm', x, EPSILON);
  let found = g.Mul(g.Expand(queries, g.Concat([m.sizeOf(map, 0), g.ints([s.queries, hidden])], 0)), 0);
  for (const each of decoder.list('layers', s.decoder.layers)) {
    const { heads } = s.decoder;
    const own = attention(each.at('self_attn'), { x: found, from: found, places: [queries, queries], heads });
    const asked = added(each, 'self_attn_layer_norm', found, own);
    const seen = attention(each.at('encoder_attn'), { x: asked, from: encoded, places: [queries, places], heads });
    found = mlp(each, added(each, 'encoder_attn_layer_norm', asked, seen), s.decoder.inner, s);
    if (s.normsEach) found = norm(found);
  }
  return { found: norm(found), encoded };
}

/** Three layers to centre, width and height, 0 to 1. */
function boxes(m: Module, x: Value, hidden: number): Value {
  const inner = [0, 1].reduce((y, i) => m.g.Relu(m.linear(`layers.${i}`, y, hidden)), x);
  return m.g.Sigmoid(m.linear('layers.2', inner, 4));
}

function stateOutputs({ graph }: Module, { found, encoded }: ReturnType<typeof states>): void {
  graph.output('last_hidden_state', found);
  graph.output('encoder_last_hidden_state', encoded);
}

export const detr: Architecture = {
  modelType: 'detr',
  prefix: 'model',
  others: /^class_labels_classifier\.|^bbox_predictor\.|^mask_head\.|^bbox_attention\./,
  classes: {
    DetrForObjectDetection: modelClass(
      (c) => ({ ...sizes(c), labels: c.labels() }),
      (m, s) => {
        const all = states(m.at('model'), s);
        // The extra class is "no object".
        m.graph.output('logits', m.linear('class_labels_classifier', all.found, s.labels + 1));
        m.graph.output('pred_boxes', boxes(m.at('bbox_predictor'), all.found, s.hidden));
        stateOutputs(m, all);
      },
    ),
    DetrModel: modelClass(sizes, (m, s) => stateOutputs(m, states(m, s))),
  },
};
