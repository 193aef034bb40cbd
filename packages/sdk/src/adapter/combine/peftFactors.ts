/** @file What PEFT makes of the methods without `_svd`: A and B are combined apart, as if they were deltas. */

import { OnnxLoraError } from '../../errors.ts';
import type { Combined, Term } from './deltas.ts';
import { type MergeSettings, mergeTensors } from './prune.ts';

/**
 * Combines A and B apart, each with the root of weight · scaling; a negative sign goes to A. The product of two sums has
 * cross terms, so this is no weighted sum of deltas.
 *
 * @param path how errors call the module
 * @see PEFT 0.21, `LoraModel._generalized_task_arithmetic_weighted_adapter`
 * @throws OnnxLoraError `INPUT_INVALID` when the adapters have different ranks in this module
 */
export function combineFactors(path: string, terms: readonly Term[], settings: MergeSettings): Combined {
  const [first] = terms as [Term, ...Term[]];
  const ranks = terms.map(({ factors }) => factors.A.rows);
  if (ranks.some((r) => r !== ranks[0])) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapters have ranks ${ranks.join(' and ')} in module "${path}", and PEFT adds up only equal ones. Leave compat out, or choose "cat" or "svd".`,
    );
  }
  const weights = terms.map(({ factors, weight }) => weight * factors.scaling);
  const merge = (factor: 'A' | 'B', each: readonly number[]): Float64Array =>
    mergeTensors(
      // Pruning overwrites what it is given.
      terms.map(({ factors }) => factors[factor].data.slice()),
      each,
      settings,
    );
  const A = merge(
    'A',
    weights.map((weight) => Math.sign(weight) * Math.sqrt(Math.abs(weight))),
  );
  const B = merge(
    'B',
    weights.map((weight) => Math.sqrt(Math.abs(weight))),
  );
  return { A: { ...first.factors.A, data: A }, B: { ...first.factors.B, data: B } };
}
