/** @file The Kullback–Leibler divergence of two distributions. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { sameShape, typed, wide } from './operands.ts';
import { type ElementOptions, reduce, type Reduction } from './reduction.ts';

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
