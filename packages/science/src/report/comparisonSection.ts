/** @file What LoRA buys, as a table of the report. */

import type { ReportSection } from '@onnx-lora/sdk';
import type { Comparison } from '../baselines/frozenBaselines.ts';

/** A row per method, each metric with its interval, and what that says. */
export function comparisonSection({ sequences, methods, verdict }: Comparison, name?: string): ReportSection {
  const metrics = Object.keys(methods[0]!.metrics);
  return {
    kind: 'table',
    title: name === undefined ? 'What LoRA buys' : `What LoRA buys: ${name}`,
    text: `${verdict} In brackets: intervals that hold the metric with a probability of 95% (bootstrap over ${sequences} held-out sequences); they do not tell how it varies from one training to the next. All were tuned on training sequences alone.`,
    columns: ['method', ...metrics, 'chosen'],
    rows: methods.map((each) => [each.method, ...metrics.map((metric) => cell(each, metric)), each.chosen]),
  };
}

function cell({ metrics, intervals }: Comparison['methods'][number], metric: string): string {
  const value = metrics[metric]!;
  if (Number.isNaN(value)) return '–';
  const interval = intervals[metric];
  // Errors have the data's units and may be of any size; all else is about 1.
  const shown = (each: number): string =>
    String(Number(metric === 'rmse' ? each.toPrecision(3) : each.toFixed(3))).replace('-', '−');
  return interval ? `${shown(value)} (${shown(interval[0])} to ${shown(interval[1])})` : shown(value);
}
