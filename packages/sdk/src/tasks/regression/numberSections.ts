/** @file Report sections of regression: parity plots and residuals. */

import type { ReportSection } from '../../plugin/reportSection.ts';
import { numberMeasure } from '../../statistics/numberMeasure.ts';

/** One predicted number over held-out examples. */
export interface NumberPairs {
  /** Name of the number, such as `fitness`. */
  readonly name: string;
  /** Examples in the plural: `images`. */
  readonly noun: string;
  /** True number of each example. */
  readonly measured: readonly number[];
  /** Predicted number of each example, in the same order. */
  readonly predicted: readonly number[];
}

/** More points are thinned out evenly: the file would be large and the plot no clearer. */
const MOST_POINTS = 3000;
const BINS = 25;

/** Plots predicted against measured numbers. */
export function paritySection({ name, noun, measured, predicted }: NumberPairs): ReportSection {
  const { spearman, rmse } = numberMeasure(predicted, measured)();
  const step = Math.max(1, Math.ceil(measured.length / MOST_POINTS));
  const points = measured.flatMap((value, i) => (i % step === 0 ? [[value, predicted[i]!] as const] : []));
  const some = step > 1 ? ` ${points.length} of them are drawn.` : '';
  return {
    kind: 'scatter',
    title: `Predicted and measured: ${name}`,
    text: `${measured.length} held-out ${noun}; on the dashed line both are the same. Spearman ${shown(spearman)}, root mean squared error ${shown(rmse)}.${some}`,
    x: `measured ${name}`,
    y: `predicted ${name}`,
    series: [{ name, points }],
    diagonal: true,
  };
}

/** A histogram of the residuals. */
export function residualSection({ name, measured, predicted }: NumberPairs): ReportSection {
  const errors = predicted.map((value, i) => value - measured[i]!);
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const low = errors.reduce((least, error) => Math.min(least, error), Infinity);
  const high = errors.reduce((most, error) => Math.max(most, error), -Infinity);
  return {
    kind: 'histogram',
    title: `Errors: ${name}`,
    text: `Predicted less measured; mean ${shown(mean)}. A mean far from 0 is a bias in one direction.`,
    x: `predicted − measured ${name}`,
    ...binned(errors, low, high, BINS),
  };
}

/** Counts values in bins of equal width; the width is 1 if all values are equal. */
function binned(
  values: readonly number[],
  low: number,
  high: number,
  bins: number,
): { readonly borders: readonly number[]; readonly counts: readonly number[] } {
  const width = (high - low) / bins || 1;
  const counts = Array.from({ length: bins }, () => 0);
  for (const value of values) counts[Math.min(bins - 1, Math.max(0, Math.floor((value - low) / width)))]!++;
  return { borders: Array.from({ length: bins + 1 }, (_, i) => low + i * width), counts };
}

function shown(value: number): string {
  return Number.isNaN(value) ? 'not defined' : value.toFixed(3).replace('-', '−');
}
