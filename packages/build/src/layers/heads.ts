/** @file Heads that several encoders share. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { gelu, type Activation } from './activations.ts';
import type { Module } from './module.ts';

/** What a masked-language head reads beside the states. */
export interface MaskedHead {
  readonly vocabulary: number;
  readonly eps: number;
  readonly act?: Activation;
  /** The embedding of tokens, which is the last layer where that is tied to it. */
  readonly table: Value;
  readonly isTied: boolean;
}

/** Names of the layers before the last. */
const roberta = { dense: 'dense', norm: 'layer_norm' };
/** The same in BERT. */
export const bertHead: typeof roberta = { dense: 'transform.dense', norm: 'transform.LayerNorm' };

/** Dense, activation, norm, and a score for each token of the vocabulary: `[batch, sequence, vocabulary]`. */
export function maskedLanguageHead(
  m: Module,
  x: Value,
  { vocabulary, eps, act = gelu, table, isTied }: MaskedHead,
  names: typeof roberta = roberta,
): Value {
  const y = m.layerNorm(names.norm, act(m.g, m.linear(names.dense, x, Number(x.shape!.at(-1)))), eps);
  const scores = isTied ? m.tied('decoder', y, table) : m.linear('decoder', y, vocabulary, { bias: false });
  const bias = m.has('bias') ? 'bias' : 'decoder.bias';
  // Files hold it under either name, or both.
  m.graph.weights.use(m.under('decoder.bias'));
  return m.g.Add(scores, m.parameter(bias, [vocabulary]));
}

/** RoBERTa's classifier of a sequence: dense, tanh and a layer on the first token: `[batch, labels]`. */
export function firstTokenHead(m: Module, x: Value, labels: number, act: Activation = (g, y) => g.Tanh(y)): Value {
  const first = m.row(x, 0);
  return m.linear('out_proj', act(m.g, m.linear('dense', first, Number(first.shape!.at(-1)))), labels);
}
