/** @file Shared parts of image-text models: two transformers, and logits by cosine similarity. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../attention.ts';
import type { Module } from '../module.ts';
import { type SizeDefaults, type TransformerSizes, transformerSizes } from '../sizes.ts';
import type { Patches } from './patches.ts';
import { normalized } from '../texts/texts.ts';

/** Sizes of an image tower. */
export interface ImageTowerSizes extends TransformerSizes, Patches {}

/** Reads an image tower's fields, with the class's defaults. */
export function imageTowerSizes(
  c: Config,
  absent: SizeDefaults,
  absentPatch: number,
  absentImage = 224,
): ImageTowerSizes {
  const [image, patch] = [c.size('image_size', absentImage), c.size('patch_size', absentPatch)];
  const channels = c.size('num_channels', 3);
  return { ...transformerSizes(c, absent), channels, image: [image, image], patch: [patch, patch] };
}

/** Pre-norm layers under `encoder`: `[batch, tokens, hidden]`. */
export function towerEncoder(m: Module, x: Value, s: TransformerSizes, mask?: Value): Value {
  for (const layer of m.list('encoder.layers', s.layers)) x = towerLayer(layer, x, s, mask);
  return x;
}

function towerLayer(m: Module, x: Value, s: TransformerSizes, mask: Value | undefined): Value {
  const names = ['q_proj', 'k_proj', 'v_proj'] as const;
  const normed = m.layerNorm('layer_norm1', x, s.eps);
  const context = selfAttention(m.at('self_attn'), normed, { names, heads: s.heads, mask });
  x = m.g.Add(x, m.linear('self_attn.out_proj', context, s.hidden));
  return m.g.Add(x, towerMlp(m.at('mlp'), m.layerNorm('layer_norm2', x, s.eps), s));
}

/** The MLP of the encoder's layers. */
export function towerMlp(m: Module, x: Value, { act, inner, hidden }: TransformerSizes): Value {
  return m.linear('fc2', act(m.g, m.linear('fc1', x, inner)), hidden);
}

/** Token and position embeddings: `[batch, sequence, hidden]`. */
export function textTokens(
  m: Module,
  ids: Value,
  { hidden }: TransformerSizes,
  { vocabulary, positions }: { vocabulary: number; positions: number },
): Value {
  const places = m.embedding('position_embedding', m.range(0, m.sizeOf(ids, 1)), positions, hidden);
  return m.g.Add(m.embedding('token_embedding', ids, vocabulary, hidden), places);
}

export const batches = { texts: 'text_batch_size', images: 'image_batch_size' } as const;

/** Declares both normalised embeddings and their scaled similarities plus `bias`: Radford et al. 2021. */
export function similarities(m: Module, texts: Value, images: Value, scale: Value, bias?: Value): void {
  const { g, graph } = m;
  const [text, image] = [normalized(m, texts), normalized(m, images)];
  const scaled = g.Mul(g.MatMul(text, g.Transpose(image, [1, 0])), g.Exp(scale));
  const logits = bias ? g.Add(scaled, bias) : scaled;
  graph.output('logits_per_image', g.Transpose(logits, [1, 0]));
  graph.output('logits_per_text', logits);
  graph.output('text_embeds', text);
  graph.output('image_embeds', image);
}
