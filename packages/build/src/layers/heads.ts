/** @file Heads of several text encoders. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { gelu, type Activation } from './activations.ts';
import { type Module, widthOf } from './module.ts';

/** The last layer of a masked-language head. */
export interface LastLayer {
  /** Token embedding `[vocabulary, width]`; also the layer if tied. */
  readonly table: Value;
  readonly isTied: boolean;
}

/** Inputs of a masked-language head besides the states. */
export interface MaskedHead extends LastLayer {
  readonly eps: number;
  readonly act?: Activation;
}

/** Layer names in RoBERTa. */
const roberta = { dense: 'dense', norm: 'layer_norm' };
export const bertHead: typeof roberta = { dense: 'transform.dense', norm: 'transform.LayerNorm' };
export const albertHead: typeof roberta = { dense: 'dense', norm: 'LayerNorm' };

/** Scores of a vocabulary: by its embedding table if tied, else by a layer. */
export function vocabularyScores(m: Module, name: string, x: Value, { table, isTied }: LastLayer, bias = false): Value {
  const size = Number(table.shape![0]);
  return isTied ? m.tied(name, x, table, bias ? size : undefined) : m.linear(name, x, size, { bias });
}

/** Dense, activation, norm, vocabulary scores: `[batch, sequence, vocabulary]`. */
export function maskedLanguageHead(
  m: Module,
  x: Value,
  { eps, act = gelu, table, isTied }: MaskedHead,
  names: typeof roberta = roberta,
): Value {
  const vocabulary = Number(table.shape![0]);
  const y = m.layerNorm(names.norm, act(m.g, m.linear(names.dense, x, widthOf(table))), eps);
  const scores = vocabularyScores(m, 'decoder', y, { table, isTied });
  // An untied layer has its own bias, a tied one the head's; a file may store either or both.
  const biases = isTied ? ['bias', 'decoder.bias'] : ['decoder.bias', 'bias'];
  for (const name of biases) m.graph.weights.use(m.under(name));
  return m.g.Add(scores, m.parameter(biases.find((name) => m.has(name)) ?? 'bias', [vocabulary]));
}

/** RoBERTa's sequence classifier: dense, tanh and a layer on the first token: `[batch, labels]`. */
export function firstTokenHead(m: Module, x: Value, labels: number, act: Activation = (g, y) => g.Tanh(y)): Value {
  const first = m.row(x, 0);
  return m.linear('out_proj', act(m.g, m.linear('dense', first, widthOf(first))), labels);
}

/** Declares `start_logits` and `end_logits` of answers, `[batch, sequence]`. */
export function answerOutputs(m: Module, x: Value): void {
  const scores = m.g.Split(m.linear('qa_outputs', x, 2), [1, 1], -1);
  for (const [i, name] of ['start_logits', 'end_logits'].entries()) m.graph.output(name, m.g.Squeeze(scores[i]!, [2]));
}
