/** @file Which classes are taken for which. */

import type { RecordAnswers } from '../recordMetrics.ts';

/** Counts `[true class, predicted class]` of the classes that occur on either side. */
export function classConfusion(
  { answers, truths }: RecordAnswers,
  labels: readonly string[],
): { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] } {
  const count = labels.length;
  const pairs = truths.map(([truth], row): readonly [number, number] => {
    const own = answers.subarray(row * count, (row + 1) * count);
    return [truth!, own.reduce((best, value, c) => (value > own[best]! ? c : best), 0)];
  });
  const seen = [...new Set(pairs.flat())].sort((a, b) => a - b);
  const counts = seen.map(() => seen.map(() => 0));
  const placeOf = new Map(seen.map((c, i) => [c, i]));
  for (const [truth, answer] of pairs) counts[placeOf.get(truth)!]![placeOf.get(answer)!]!++;
  return { labels: seen.map((c) => labels[c]!), counts };
}
