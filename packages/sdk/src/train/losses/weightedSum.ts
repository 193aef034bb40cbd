/** @file Several losses as one. */

import type { GraphBuilder, Operand, Value } from '../../graph/builder.ts';
import { invalid } from './operands.ts';

/**
 * `Σ weight·loss`.
 *
 * @param parts weights, which are numbers or scalars of the graph, and losses, which are scalars
 * @throws OnnxLoraError `PLUGIN_INVALID` where there is none
 */
export function weightedSum(g: GraphBuilder, parts: readonly (readonly [weight: Operand, loss: Value])[]): Value {
  const [first, ...rest] = parts.map(([weight, loss]) => (weight === 1 ? loss : g.Mul(loss, weight)));
  if (!first) throw invalid('a weighted sum needs at least one loss.');
  return rest.reduce((sum, each) => g.Add(sum, each), first);
}
