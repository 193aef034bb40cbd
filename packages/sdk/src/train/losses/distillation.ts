/** @file Losses between distributions: knowledge distillation, and the Kullback–Leibler divergence. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { crossEntropy } from './crossEntropy.ts';
import { invalid, sameShape, typed, wide } from './operands.ts';
import { type ElementOptions, reduce, type Reduction } from './reduction.ts';
import { rowScores } from './rowScores.ts';

/** Options of {@link distillation}. */
export interface DistillationOptions extends ElementOptions {
  /** Divides both sides' scores; 2 by default. Above 1, unlikely classes weigh more. */
  readonly temperature?: number | undefined;
  /** True labels, `[...]`, for `hardShare`; -100 is ignored. */
  readonly labels?: Value | undefined;
  /** Share of cross-entropy with the labels, from 0 to 1; 0.5 by default with labels. */
  readonly hardShare?: number | undefined;
}

/**
 * `T²·KL(softmax(teacher / T) ‖ softmax(student / T))`, mean over rows; T² keeps the size of gradients.
 * @param student `[..., classes]`, float
 * @param teacher the same shape: a constant target with another model's logits
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes or options
 * @see https://arxiv.org/abs/1503.02531
 */
export function distillation(
  g: GraphBuilder,
  student: Value,
  teacher: Value,
  { temperature = 2, labels, hardShare = labels ? 0.5 : 0, ...options }: DistillationOptions = {},
): Value {
  const shape = sameShape('Distillation', student, teacher);
  if (!(temperature > 0)) throw invalid(`temperature is a number above 0, but it is ${temperature}.`);
  if (!(hardShare >= 0 && hardShare <= 1)) throw invalid(`hardShare is a share from 0 to 1, but it is ${hardShare}.`);
  if (hardShare > 0 && !labels) throw invalid('a hardShare needs labels.');
  const [s, t] = [rowScores(g, student, 1 / temperature), rowScores(g, teacher, 1 / temperature)];
  const q = typed(g, t.probabilities, s.scores);
  // Σ q·(log q − log p) with log p = s − top − excess
  const logs = g.Sub(typed(g, g.Sub(t.scores, t.top), s.scores), g.Sub(s.scores, s.top));
  const cost = g.Add(g.ReduceSum(g.Mul(q, logs), [1], true), g.Sub(s.excess, typed(g, t.excess, s.scores)));
  const rows = g.withGradient(cost, [{ by: s.scores, gradient: g.Sub(s.probabilities, q) }]);
  const soft = g.Mul(reduce(g, g.Reshape(rows, shape.slice(0, -1)), options), temperature ** 2);
  if (!labels || hardShare === 0) return soft;
  const hard = crossEntropy(g, student, labels, { reduction: options.reduction });
  return g.Add(g.Mul(soft, 1 - hardShare), g.Mul(hard, hardShare));
}

/** Options of {@link kullbackLeibler}. */
export interface KullbackLeiblerOptions extends Omit<ElementOptions, 'reduction'> {
  /** Whether targets are log-probabilities too; false by default. */
  readonly logTarget?: boolean | undefined;
  /** `batchMean` by default, the divergence: the sum divided by the batch size. `mean` is over all elements. */
  readonly reduction?: Reduction | 'batchMean' | undefined;
}

/**
 * `Σ target·(log target − input)`, as torch.nn.KLDivLoss.
 * @param input `[batch, ...]`, log-probabilities
 * @param target the same shape, constant probabilities
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
 */
export function kullbackLeibler(
  g: GraphBuilder,
  input: Value,
  target: Value,
  { logTarget = false, reduction = 'batchMean', mask }: KullbackLeiblerOptions = {},
): Value {
  const [batch = 1] = sameShape('The Kullback–Leibler divergence', input, target);
  const x = wide(g, input);
  const t = typed(g, wide(g, target), x);
  const probability = logTarget ? g.Exp(t) : t;
  // A class of probability 0 costs nothing, whatever its logarithm.
  const entropy = logTarget ? g.Mul(probability, t) : g.Mul(t, g.Log(g.Where(g.Greater(t, 0), t, 1)));
  const cost = g.withGradient(g.Sub(entropy, g.Mul(probability, x)), [{ by: x, gradient: g.Neg(probability) }]);
  if (reduction !== 'batchMean') return reduce(g, cost, { mask, reduction });
  return g.Mul(reduce(g, cost, { mask, reduction: 'sum' }), 1 / batch);
}
