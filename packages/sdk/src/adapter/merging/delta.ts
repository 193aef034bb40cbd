/** @file The delta of a low-rank adapter, output by output. */

import type { FactorValues } from '../../lora/kinds/kind.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { Site } from '../../match/sites.ts';

/**
 * Visits the rows of s·B·A.
 *
 * @param visit gets the output's number and its row, which is reused: as many values as inputs (times the kernel's size)
 */
export function eachDeltaRow(
  site: Site,
  { A, B, r, scaling }: FactorValues,
  visit: (output: number, row: Float64Array) => void,
): void {
  const { out, width, groups } = kindOf(site).matrix(site);
  const row = new Float64Array(width);
  // An output of a group reads the channels of A that belong to the same group.
  const [ranks, outputs] = [r / groups, out / groups];
  for (let o = 0; o < out; o++) {
    row.fill(0);
    const first = Math.floor(o / outputs) * ranks;
    for (let k = 0; k < ranks; k++) {
      const b = scaling * B[o * ranks + k]!;
      const start = (first + k) * width;
      if (b !== 0) for (let i = 0; i < width; i++) row[i]! += b * A[start + i]!;
    }
    visit(o, row);
  }
}

/** Where the graph's flat weight holds value `i` of row `o`: at `o · row + i · column`. */
export function weightSteps(site: Site): { readonly row: number; readonly column: number } {
  const { out, width, layout, groups } = kindOf(site).matrix(site);
  return layout === 'in-out' ? { row: 1, column: out } : { row: width / groups, column: 1 };
}

/** Whether a weight has room for s·B·A: that of a grouped layer holds only the inputs of the output's own group. */
export function isHeldByGroups(site: Site, factors: FactorValues): boolean {
  const { out, groups } = kindOf(site).matrix(site);
  if (groups === 1) return true;
  let isHeld = true;
  eachDeltaRow(site, factors, (o, row) => {
    const own = row.length / groups;
    const first = Math.floor((o * groups) / out) * own;
    if (row.some((value, i) => value !== 0 && (i < first || i >= first + own))) isHeld = false;
  });
  return isHeld;
}
