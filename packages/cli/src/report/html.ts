/** @file The report of a training run: one HTML file without scripts, which opens offline. */

import type { Divergence, TrainResult, Verdict } from '@onnx-lora/sdk';
import type { ReportSection } from '@onnx-lora/sdk/tasks';
import { trainDefaults } from '@onnx-lora/sdk/core';
import { lossesOf } from '../run/verdict.ts';
import type { Measured, RunHistory } from '../run/history.ts';
import { wordOf } from '../settings/runConfig.ts';
import { settingInfos } from '../settings/settings.ts';
import { keyOf, type SettingName, type Settings } from '../settings/setting.ts';
import { clock, grouped, short } from '../terminal/table.ts';
import { confusionTable } from './confusion.ts';
import { measuredCurve, stepCurve } from './curve.ts';
import { dateOf, escapeHtml, factTiles, measuredHtml, page, scrollTable } from './page.ts';
import { formatSections, part } from './sections.ts';

export interface ReportContent {
  readonly model: { readonly name: string; readonly family: string | undefined; readonly parameters: number };
  readonly settings: Settings;
  /** The command that repeats the run. */
  readonly command: string;
  readonly history: RunHistory;
  readonly made: number;
  /** Maximum number of steps. */
  readonly planned: number;
  readonly endedBy: TrainResult['endedBy'];
  readonly seconds: number;
  readonly provider: string;
  readonly trainableParameters: number;
  readonly modules: readonly string[];
  /** The base on held-out data, if any. */
  readonly before: Measured | undefined;
  readonly after: Measured | undefined;
  /** The warning where `after` is worse than `before`. */
  readonly worse?: string | undefined;
  /** Divergence of the loss, which then is the verdict. */
  readonly diverged?: Divergence | undefined;
  readonly verdict?: Verdict | undefined;
  readonly sections: readonly ReportSection[];
  readonly date: Date;
  /** The runtime, such as `Node 20.19.0`. */
  readonly runtime: string;
}

/** Renders the report. All external text is escaped. */
export function formatReport(content: ReportContent): string {
  const { model, settings } = content;
  const title = `${settings.task ?? 'Training'}: ${settings.data ?? ''}`;
  return page(
    title,
    `<p class="quiet">LoRA adapter of ${escapeHtml(model.name)}${model.family === undefined ? '' : ` (${escapeHtml(model.family)})`}, ${dateOf(content.date)}</p>
${stopNotice(content)}
${facts(content)}
<div class="parts">
${metrics(content)}
${losses(content)}
${evaluations(content)}
${confusion(content)}
${formatSections(content.sections)}
${notices(content)}
</div>
<details><summary>Learning rate, gradients, memory</summary>
<div class="parts">
${part('Learning rate', stepCurve(content.history.lr.stretches, { name: 'Learning rate' }))}
${part('Norm of the gradients', stepCurve(content.history.gradNorm.stretches, { name: 'Norm of the gradients', smooth: true }))}
${part('Memory of the process (MB)', stepCurve(content.history.memory.stretches, { name: 'Memory in MB', smooth: true }))}
</div>
</details>
<div class="parts">
${part('Do it again', `<pre>${wrapped(content.command)}</pre>`)}
${part('Adapted modules', `<details><summary>${content.modules.length} modules</summary><p>${content.modules.map(escapeHtml).join('<br>')}</p></details>`)}
${part('Settings', settingsTable(settings), true)}
</div>
<p class="quiet">${escapeHtml(content.runtime)}, provider ${escapeHtml(content.provider)}</p>`,
  );
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

/** Keeps each flag and its values together: browsers would break lines at dashes. */
function wrapped(command: string): string {
  return command
    .split(/ (?=--)/)
    .map((words) => `<span class="whole">${escapeHtml(words)}</span>`)
    .join(' ');
}

/** The training loss, with the held-out loss over it. */
function losses({ history, before, after, made }: ReportContent): string {
  const known = [
    ...(before ? [{ ...before, step: 0 }] : []),
    ...history.evaluations,
    ...(after ? [{ ...after, step: made }] : []),
  ].flatMap(({ step, metrics: { loss } }) => (loss === undefined ? [] : [{ step, value: loss }]));
  const heldOut = [...new Map(known.map((point) => [point.step, point])).values()].sort((a, b) => a.step - b.step);
  const legend =
    heldOut.length === 0
      ? ''
      : '<ul class="legend"><li class="own">training</li><li class="held-out">held-out data</li></ul>\n';
  return part(
    'Loss',
    `<p class="quiet">Thin: each step's batch. Thick: running mean.</p>\n${legend}${stepCurve(history.loss.stretches, { name: 'Loss', smooth: true, heldOut })}`,
  );
}

function stopNotice({ made, planned, endedBy }: ReportContent): string {
  if (endedBy === 'steps') return '';
  const why = endedBy === 'stop' ? 'Stopped' : 'It stopped getting better: ended early';
  return `<p class="notice">${why} after ${grouped(made)} of ${grouped(planned)} steps.</p>`;
}

function evaluations({ history }: ReportContent): string {
  const names = Object.keys(history.evaluations[0]?.metrics ?? {});
  const curves = names.flatMap((name) => {
    const points = history.evaluations.flatMap(({ step, metrics: { [name]: value } }) =>
      value === undefined ? [] : [{ step, value }],
    );
    const curve = points.length > 2 ? measuredCurve(points, { name }) : '';
    return curve === '' || name === 'loss' ? [] : [part(`${escapeHtml(name)} on held-out data`, curve)];
  });
  return curves.join('\n');
}

function notices({ history: { notices: all, skippedSteps, badSamples } }: ReportContent): string {
  if (all.length === 0) return '';
  const counts = [
    ...(skippedSteps > 0 ? [`steps skipped: ${grouped(skippedSteps)}`] : []),
    ...(badSamples > 0 ? [`examples left out: ${grouped(badSamples)}`] : []),
  ];
  const rows = all.map(
    ({ step, message }) => `<tr><th scope="row">step ${step}</th><td>${escapeHtml(message)}</td></tr>`,
  );
  return part(
    'What went wrong',
    `<p>${counts.join('; ')}</p>
<details open><summary>The first messages</summary>
<table class="settings"><tbody>
${rows.join('\n')}
</tbody></table></details>`,
    true,
  );
}

function facts(content: ReportContent): string {
  const { made, history, seconds, trainableParameters, model, settings } = content;
  const all = model.parameters + trainableParameters;
  const entries: [string, string][] = [
    ['trained parameters', `${grouped(trainableParameters)} (${((100 * trainableParameters) / all).toFixed(2)}%)`],
    [
      'steps × examples',
      `${grouped(made)} × ${(settings.batchSize ?? trainDefaults.batchSize) * (settings.accumulationSteps ?? 1)}`,
    ],
    ['time', clock(seconds)],
    ['last loss', history.lastLoss === undefined ? '–' : short(history.lastLoss)],
  ];
  return factTiles(entries, verdictTile(content));
}

function verdictTile({ diverged, verdict }: ReportContent): string {
  const tile = (outcome: Verdict['outcome'], said: string, why: string): string =>
    `<div class="verdict ${outcome}"><dt>verdict</dt><dd>${said}</dd><dd class="why">${escapeHtml(why)}</dd></div>\n`;
  // Held-out numbers of an unusable adapter would mislead.
  if (diverged) return tile('harms', 'The run has diverged', capitalised(lossesOf(diverged)));
  const said = {
    helps: 'LoRA is shown to help',
    harms: 'LoRA is shown to do worse',
    undecided: 'LoRA is not shown to help',
  };
  return verdict ? tile(verdict.outcome, said[verdict.outcome], verdict.text) : '';
}

function metrics({ before, after, worse }: ReportContent): string {
  if (!before) {
    return part(
      'Metrics',
      '<p class="quiet">Nothing was measured: no data was held out (--validation, or validation, val or test beside train), or --no-eval was given.</p>',
    );
  }
  const rows = Object.entries(before.metrics).map(([name, value]) => {
    const now = after?.metrics[name];
    const change =
      now === undefined
        ? '–'
        : `${now > value ? '+' : now < value ? '−' : ''}${short(Number(Math.abs(now - value).toPrecision(2)))}`;
    return `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${measuredHtml(value, before.intervals?.[name])}</td><td class="number">${now === undefined ? '–' : measuredHtml(now, after?.intervals?.[name])}</td><td class="number">${change}</td></tr>`;
  });
  const notice = worse === undefined ? '' : `<p class="notice">${escapeHtml(capitalised(worse))}</p>\n`;
  const notes = [
    ...(before.probedHead
      ? ['Before: the frozen model, with a new head that a ridge regression has fitted to training examples. The training begins with it.']
      : []), // prettier-ignore
    ...(before.untrainedHead ? ['Before: the model with an untrained head, which guesses.'] : []),
    ...(before.intervals
      ? ['In brackets: intervals that hold the number with a probability of 95%, by the bootstrap over held-out examples.']
      : []), // prettier-ignore
  ];
  return part(
    `Metrics on ${grouped(before.examples)} held-out examples`,
    `${notice}${scrollTable(['metric', 'before', 'after', 'change'], (i) => i > 0, rows)}${notes.length === 0 ? '' : `\n<p class="quiet">${notes.join(' ')}</p>`}`,
  );
}

function confusion({ before, after }: ReportContent): string {
  if (!after?.confusion) return '';
  const matrices = [
    ...(before?.confusion ? [part('Confusion matrix before', confusionTable(before.confusion))] : []),
    part('Confusion matrix after training', confusionTable(after.confusion)),
  ];
  // In one row, so that the layout keeps them together.
  return matrices.length === 1 ? matrices[0]! : `<div class="parts pair">\n${matrices.join('\n')}\n</div>`;
}

function settingsTable(settings: Settings): string {
  const names = (Object.keys(settingInfos) as SettingName[]).filter((name) => settings[name] !== undefined);
  const rows = names.map((name) => {
    const value = settings[name];
    const text = Array.isArray(value) ? value.join(', ') : wordOf(value);
    return `<tr><th scope="row">${keyOf(name)}</th><td>${escapeHtml(text)}</td></tr>`;
  });
  return `<table class="settings"><tbody>\n${rows.join('\n')}\n</tbody></table>`;
}
