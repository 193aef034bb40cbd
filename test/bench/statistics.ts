/** @file Medians of times and of ratios. */

/** The middle of the values; the mean of the two middle ones of an even number. NaN without any. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [Math.floor((sorted.length - 1) / 2), Math.ceil((sorted.length - 1) / 2)];
  return sorted.length === 0 ? NaN : (sorted[low]! + sorted[high]!) / 2;
}

/**
 * The median of the ratios of two cases round by round. A slow phase of the machine slows both cases, so this varies less
 * than the ratio of the medians.
 */
export function pairedRatio(times: readonly number[], against: readonly number[]): number {
  return median(times.map((time, round) => time / against[round]!));
}

/** The value below which this part of the values is, from 0 to 1; the nearest that there is. NaN without any. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
