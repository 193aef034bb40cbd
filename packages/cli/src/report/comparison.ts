/** @file The page of `onnx-lora compare`: metrics, curves and differing settings of several runs. */

import type { Measured, RunHistory } from '../run/history.ts';
import type { Settings } from '../settings/setting.ts';
import { grouped, short } from '../terminal/table.ts';
import { chart } from './chart.ts';
import { runningMean } from './curve.ts';
import { dateOf, escapeHtml, measuredHtml, page, scrollTable } from './page.ts';
import { part } from './sections.ts';

export interface ComparedRun {
  readonly folder: string;
  /** Name in tables and legends. */
  readonly name: string;
  readonly settings: Settings;
  readonly history: RunHistory;
  /** The base on held-out data, if measured. */
  readonly base: Measured | undefined;
  /** The adapter on held-out data, if measured. */
  readonly measured: Measured | undefined;
}

export interface Comparison {
  readonly runs: readonly ComparedRun[];
  /** Differing settings, a value per run. */
  readonly settings: readonly { readonly name: string; readonly values: readonly string[] }[];
  readonly warnings: readonly string[];
  readonly date: Date;
}

/** Renders the page. All external text is escaped. */
export function comparisonPage({ runs, settings, warnings, date }: Comparison): string {
  return page(
    `${grouped(runs.length)} runs compared`,
    `<p class="quiet">${dateOf(date)}</p>
${warnings.map((warning) => `<p class="notice">${escapeHtml(warning)}</p>`).join('\n')}
<div class="parts">
${part('Metrics on held-out data', metrics(runs), true)}
${losses(runs)}
${measurements(runs)}
${part('Settings that differ', differences(runs, settings), true)}
</div>`,
  );
}

function metrics(runs: readonly ComparedRun[]): string {
  const names = namesOf(runs);
  const rows = runs.map(({ name, folder, measured, base }) => {
    const cells = names.map((metric) => {
      const value = measured?.metrics[metric];
      const before = base?.metrics[metric];
      const was = before === undefined ? '' : `<br><span class="quiet">base ${short(before)}</span>`;
      return `<td class="number">${value === undefined ? '–' : measuredHtml(value, measured?.intervals?.[metric])}${was}</td>`;
    });
    return `<tr><th scope="row" title="${escapeHtml(folder)}">${escapeHtml(name)}</th>${cells.join('')}<td class="number">${measured ? grouped(measured.examples) : '–'}</td></tr>`;
  });
  const hasIntervals = runs.some(({ measured }) => measured?.intervals);
  return `${scrollTable(['run', ...names, 'examples'], (i) => i > 0, rows)}${hasIntervals ? '\n<p class="quiet">In brackets: intervals that hold the number with a probability of 95%, by the bootstrap over held-out examples. On the same examples, runs may differ in truth even where their intervals overlap.</p>' : ''}`;
}

function namesOf(runs: readonly ComparedRun[]): string[] {
  return [...new Set(runs.flatMap(({ measured }) => Object.keys(measured?.metrics ?? {})))];
}

function losses(runs: readonly ComparedRun[]): string {
  const series = runs.map(({ name, history }) => ({
    name,
    points: runningMean(history.loss.stretches).map(({ step, value }) => [step, value] as const),
  }));
  return part(
    'Loss in training',
    `<p class="quiet">Running means.</p>\n${chart({ kind: 'lines', x: 'step', y: 'loss', series }, 'Loss in training')}`,
  );
}

/** Each metric over the steps, where it was measured repeatedly. */
function measurements(runs: readonly ComparedRun[]): string {
  return namesOf(runs)
    .map((metric) => {
      const series = runs.map(({ name, history }) => ({
        name,
        points: history.evaluations.flatMap(({ step, metrics: { [metric]: value } }) =>
          value === undefined ? [] : [[step, value] as const],
        ),
      }));
      if (series.every(({ points }) => points.length < 2)) return '';
      const title = `${metric} on held-out data`;
      return part(escapeHtml(title), chart({ kind: 'lines', x: 'step', y: metric, series }, title));
    })
    .join('\n');
}

function differences(runs: readonly ComparedRun[], settings: Comparison['settings']): string {
  if (settings.length === 0) return '<p>No setting differs.</p>';
  const rows = settings.map(
    ({ name, values }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th>${values.map((value) => `<td>${escapeHtml(value)}</td>`).join('')}</tr>`,
  );
  return scrollTable(['setting', ...runs.map(({ name }) => name)], () => false, rows);
}
