/** @file Results of a sweep as JSON and CSV. */

import { csvCell, withoutUndefined } from '@onnx-lora/sdk/data';
import type { ConfigurationResult, SweepOutcome } from './outcome.ts';

/** The results as JSON. */
export function outcomeJson(outcome: SweepOutcome): Record<string, unknown> {
  const { metric, methods, configurations, baseline, base, trials, recommendation, verdict } = outcome;
  return {
    recommendation,
    verdict,
    metric: metric.name,
    better: metric.isLower ? 'lower' : 'higher',
    baseline,
    base: base ?? null,
    trials,
    methods: methods.map(({ method, best: { configuration, score }, test }) =>
      withoutUndefined({ method, configuration: configuration.name, score, test }),
    ),
    configurations: configurations.map((each) => ({
      configuration: each.configuration.name,
      method: each.configuration.method,
      settings: each.configuration.values,
      ...resultsOf(each),
      scores: Object.fromEntries(each.scores),
    })),
  };
}

/** A CSV row per configuration: name, tried settings, results. */
export function outcomeCsv({ configurations }: SweepOutcome): string {
  const tried = [...new Set(configurations.flatMap(({ configuration }) => Object.keys(configuration.values)))];
  const rows = configurations.map((each) => {
    const { name, method, values } = each.configuration;
    return { configuration: name, method, ...Object.fromEntries(tried.map((key) => [key, values[key]])), ...resultsOf(each) }; // prettier-ignore
  });
  const heads = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => Object.values(row).map(cellOf).join(','));
  return [heads.map(cellOf).join(','), ...lines, ''].join('\n');
}

/** Results, under names that no setting has. */
function resultsOf(result: ConfigurationResult): Record<string, string | number | null> {
  const { score, interval, against, scores, isWhole, failed, leftAt, parameters, seconds, memory, bytes, fronts } =
    result;
  return {
    score: score ?? null,
    low: interval?.[0] ?? null,
    high: interval?.[1] ?? null,
    over_base: against?.difference ?? null,
    over_base_low: against?.interval?.[0] ?? null,
    over_base_high: against?.interval?.[1] ?? null,
    trials: scores.size,
    state: isWhole ? 'done' : failed > 0 ? 'failed' : leftAt ? `left at ${leftAt.part}` : 'not done',
    trained_parameters: parameters ?? null,
    training_seconds: seconds ?? null,
    memory_bytes: memory ?? null,
    adapter_bytes: bytes ?? null,
    fronts: fronts.join(' '),
  };
}

function cellOf(value: unknown): string {
  const text = value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value as string); // prettier-ignore
  return csvCell(text, ',');
}
