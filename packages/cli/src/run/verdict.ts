/** @file Whether a run is shown to help: its adapter against the best that there is without it. */

import { type Verdict, verdictOf } from '@onnx-lora/sdk';
import type { ComparedMeasurement, ReportSection } from '@onnx-lora/sdk/tasks';
import { metricChoice } from '../settings/training.ts';
import type { ResolvedSettings } from '../settings/runConfig.ts';
import type { Measured } from './history.ts';

/** What a run has come to. */
export interface Judged {
  readonly before: Measured | undefined;
  readonly after: Measured | undefined;
  /** Sections of the report, some with baselines of the task. */
  readonly sections: readonly ReportSection[];
  readonly settings: Pick<ResolvedSettings, 'from' | 'loadBest' | 'metric'>;
}

/** The verdict on a run; undefined where nothing is held out, or the run has not ended. */
export function verdictOfRun({ before, after, sections, settings }: Judged): Verdict | undefined {
  if (!before || !after) return undefined;
  const { metric, loadBest } = settings;
  const baselines = { [nameOfBefore(before, settings)]: before, ...baselinesOf(sections) };
  const verdict = verdictOf(after, baselines, metric === undefined ? {} : { metric: metricChoice(metric) });
  if (!verdict || !loadBest) return verdict;
  return { ...verdict, text: `${verdict.text} The best step was chosen on the same examples, which favours LoRA.` };
}

/** What is measured before a training. */
function nameOfBefore({ probedHead, untrainedHead }: Measured, { from }: Judged['settings']): string {
  if (probedHead) return 'a linear probe on the base';
  if (untrainedHead) return 'an untrained head';
  return from === undefined ? 'the base' : 'the adapter that it began with';
}

/** The baselines of all sections. Of several numbers each has a section; their means are what the run measures. */
function baselinesOf(sections: readonly ReportSection[]): Record<string, ComparedMeasurement> {
  const all = new Map<string, ComparedMeasurement[]>();
  for (const section of sections) {
    if (section.kind !== 'table') continue;
    for (const [name, own] of Object.entries(section.baselines ?? {})) all.set(name, [...(all.get(name) ?? []), own]);
  }
  return Object.fromEntries([...all].map(([name, parts]) => [name, meanOf(parts)]));
}

function meanOf(parts: readonly ComparedMeasurement[]): ComparedMeasurement {
  const [first, ...others] = parts;
  if (others.length === 0) return first!;
  const mean = (of: (part: ComparedMeasurement) => number): number =>
    parts.reduce((sum, part) => sum + of(part), 0) / parts.length;
  const metrics = Object.keys(first!.metrics).map((name) => [name, mean((part) => part.metrics[name] ?? NaN)] as const);
  const draws = Object.entries(first!.draws ?? {}).flatMap(([name, drawn]) => {
    const isAlike = others.every(
      ({ draws: own }) => own?.[name]?.units === drawn.units && own[name].seed === drawn.seed,
    );
    const values = drawn.values.map((_, i) => mean((part) => part.draws?.[name]?.values[i] ?? NaN));
    return isAlike ? [[name, { ...drawn, values }] as const] : [];
  });
  return { metrics: Object.fromEntries(metrics), draws: Object.fromEntries(draws) };
}
