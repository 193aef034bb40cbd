/** @file The report of a training run: one HTML file without scripts, which opens offline. */

import type { Evaluation, StepEvent } from '@onnx-lora/sdk';
import { wordOf } from '../runConfig.ts';
import { keyOf, type SettingName, settingInfos, type Settings } from '../settings.ts';
import { clock, grouped, short } from '../table.ts';
import { confusionTable } from './confusion.ts';
import { lossCurve } from './curve.ts';
import { escapeHtml } from './escape.ts';
import { style } from './style.ts';

/** What a report tells. */
export interface ReportContent {
  readonly model: { readonly name: string; readonly family: string | undefined; readonly parameters: number };
  readonly settings: Settings;
  /** The command that repeats the run. */
  readonly command: string;
  readonly steps: readonly StepEvent[];
  /** Steps that were to be made; more than there are when the run was stopped. */
  readonly planned: number;
  readonly seconds: number;
  readonly provider: string;
  readonly trainableParameters: number;
  /** Paths of the adapted modules. */
  readonly modules: readonly string[];
  /** The base on held-out data, where there is such. */
  readonly before: Evaluation | undefined;
  /** The base with the adapter on the same data. */
  readonly after: Evaluation | undefined;
  /** What ran it, such as `Node 20.19.0`. */
  readonly runtime: string;
}

/** The whole file. Everything that comes from outside is escaped. */
export function formatReport(content: ReportContent): string {
  const { model, settings } = content;
  const title = `${settings.task ?? 'Training'}: ${settings.data ?? ''}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="quiet">LoRA adapter of ${escapeHtml(model.name)}${model.family === undefined ? '' : ` (${escapeHtml(model.family)})`}</p>
${stopNotice(content)}
${facts(content)}
${metrics(content)}
<h2>Loss</h2>
<p class="quiet">Thin: each step's batch. Thick: running mean.</p>
${lossCurve(content.steps)}
${confusion(content)}
<h2>Do it again</h2>
<pre>${escapeHtml(content.command)}</pre>
<h2>Settings</h2>
${settingsTable(settings)}
<h2>Adapted modules</h2>
<details><summary>${content.modules.length} modules</summary><p>${content.modules.map(escapeHtml).join('<br>')}</p></details>
<p class="quiet">${escapeHtml(content.runtime)}, provider ${escapeHtml(content.provider)}</p>
</main>
</body>
</html>
`;
}

function stopNotice({ steps, planned }: ReportContent): string {
  return steps.length < planned
    ? `<p class="notice">Stopped after ${grouped(steps.length)} of ${grouped(planned)} steps.</p>`
    : '';
}

function facts({ steps, seconds, trainableParameters, model, settings, before, after }: ReportContent): string {
  const all = model.parameters + trainableParameters;
  const main = Object.keys(after?.metrics ?? {})[0];
  const entries: [string, string][] = [
    ...(main === undefined
      ? []
      : [
          [`${main}, before → after`, `${short(before!.metrics[main]!)} → ${short(after!.metrics[main]!)}`] as [
            string,
            string,
          ],
        ]),
    ['trained parameters', `${grouped(trainableParameters)} (${((100 * trainableParameters) / all).toFixed(2)}%)`],
    ['steps × examples', `${grouped(steps.length)} × ${settings.batchSize ?? '?'}`],
    ['time', clock(seconds)],
    ['last loss', steps.length > 0 ? short(steps.at(-1)!.loss) : '–'],
  ];
  return `<dl class="facts">\n${entries.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join('\n')}\n</dl>`;
}

function metrics({ before, after }: ReportContent): string {
  if (!before) {
    return '<h2>Metrics</h2>\n<p class="quiet">Nothing was measured: no data was held out (--validation, or validation, val or test beside train), or --no-eval was given.</p>';
  }
  const rows = Object.entries(before.metrics).map(([name, value]) => {
    const now = after?.metrics[name];
    const change = now === undefined ? '–' : `${now >= value ? '+' : '−'}${short(Math.abs(now - value))}`;
    return `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${short(value)}</td><td class="number">${now === undefined ? '–' : short(now)}</td><td class="number">${change}</td></tr>`;
  });
  return `<h2>Metrics on ${grouped(before.examples)} held-out examples</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">metric</th><th scope="col" class="number">before</th><th scope="col" class="number">after</th><th scope="col" class="number">change</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

function confusion({ after }: ReportContent): string {
  if (!after?.confusion) return '';
  return `<h2>Confusion matrix after training</h2>\n${confusionTable(after.confusion)}`;
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
