/** @file `onnx-lora compare`: results and differing settings of training runs. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined, writeFileAtomic } from '@onnx-lora/sdk/data';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { type Measured, RunHistory } from '../run/history.ts';
import { commandOf, type Flags } from '../options.ts';
import { readSettings } from '../settings/readSettings.ts';
import { comparisonPage, type ComparedRun } from '../report/comparison.ts';
import { wordOf } from '../settings/runConfig.ts';
import { RunFolder } from '../run/runFolder.ts';
import { settingInfos } from '../settings/settings.ts';
import { keyOf, type SettingName, type Settings } from '../settings/setting.ts';
import { requireFree } from '../sources.ts';
import { formatTable, short, withInterval } from '../terminal/table.ts';
import { printable } from '../terminal/terminal.ts';

/** Makes the command. */
export function compareCommand(context: Context): Command {
  return commandOf({
    name: 'compare',
    description:
      'Compares runs: their scores on held-out data, with intervals if the task has them, and the settings that differ; and writes a page with their curves. It reports runs that were measured on different examples, because of other data, --seed or --validation.',
    words: { '<runs...>': 'folders of training runs, two or more' },
    flags: [['out', 'the .html file to write (default: compare.html beside the first run)'], 'overwrite', 'output'],
    examples: ['onnx-lora compare runs/r4 runs/r8 runs/r16', 'onnx-lora compare runs/* --json | jq .runs[].metrics'],
  }).action(async (folders: readonly string[], flags: Flags & { out?: string }) => {
    if (folders.length < 2) throw usageError('One run is named. Name two or more to compare.');
    const twice = folders.find((folder, i) => folders.findIndex((each) => path.resolve(each) === path.resolve(folder)) < i); // prettier-ignore
    if (twice !== undefined) throw usageError(`"${twice}" is named twice. Name different runs.`);
    const out = flags.out ?? path.join(path.dirname(path.resolve(folders[0]!)), 'compare.html');
    if (!out.endsWith('.html')) throw usageError(`--out must name a file that ends in .html, but it is "${out}".`);
    requireFree([out], flags);
    const runs: ComparedRun[] = [];
    for (const folder of folders) runs.push(await readRun(folder));
    const settings = differing(runs.map((run) => run.settings));
    const warnings = warningsOf(runs);
    await writeFileAtomic(out, comparisonPage({ runs, settings, warnings, date: new Date() }));
    const told = {
      out,
      runs: runs.map(({ folder, measured, history }) => ({
        folder,
        steps: stepsOf(history),
        metrics: measured?.metrics ?? null,
        ...withoutUndefined({ intervals: measured?.intervals }),
        examples: measured?.examples ?? null,
      })),
      settings: Object.fromEntries(settings.map(({ name, values }) => [name, values])),
      warnings,
    };
    context.terminal.result(flags, told, () => asText(runs, settings));
    if (flags.json) return;
    for (const warning of warnings) context.terminal.note(`warning: ${warning}`);
    context.terminal.print(printable(`page  ${out}`));
  });
}

/** @throws OnnxLoraError `FILE_NOT_FOUND` for a folder without a run */
async function readRun(folder: string): Promise<ComparedRun> {
  const run = new RunFolder(folder);
  const history = new RunHistory();
  let measured: Measured | undefined;
  const byStep = new Map<number, Measured>();
  let base: Measured | undefined;
  for (const event of await run.events()) {
    history.add(event);
    if (event.type !== 'evaluation') continue;
    if (event.step === 0) base ??= event;
    else byStep.set(event.step, (measured = event));
  }
  if (history.lastLoss === undefined) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `"${folder}" holds no metrics.jsonl with a step in it, so it is not the folder of a run that has begun. Name folders that were given to train as --out.`,
    );
  }
  const settings = await readSettings({}, run.config);
  // With --load-best the adapter is that of the best measurement.
  if (settings.loadBest && history.best) measured = byStep.get(history.best.step);
  return { folder, name: path.basename(path.resolve(folder)), settings, history, base, measured };
}

/** Settings that differ between runs, as text; the folder always differs. */
function differing(all: readonly Settings[]): { readonly name: string; readonly values: readonly string[] }[] {
  return (Object.keys(settingInfos) as SettingName[])
    .filter((name) => name !== 'out')
    .map((name) => ({ name: keyOf(name), values: all.map((settings) => textOf(settings[name])) }))
    .filter(({ values }) => new Set(values).size > 1);
}

function textOf(value: Settings[SettingName]): string {
  if (value === undefined) return '–';
  return Array.isArray(value) ? value.join(', ') : wordOf(value);
}

/** Metrics on different examples are not comparable. */
function warningsOf(runs: readonly ComparedRun[]): string[] {
  const known = runs.filter(({ measured }) => measured);
  const of = (name: SettingName): boolean => new Set(known.map(({ settings }) => textOf(settings[name]))).size > 1;
  const other = (['task', 'data', 'validation', 'seed'] as const).filter(of);
  const counts = new Set(known.map(({ measured }) => measured!.examples));
  const unmeasured = runs.filter(({ measured }) => !measured).map(({ folder }) => folder);
  return [
    ...(other.length > 0 || counts.size > 1
      ? [`The runs may not be measured on the same examples${other.length > 0 ? `: ${other.join(', ')} differ` : ''}. Measure both on data of its own (eval --data) before you say which is better.`]
      : []),
    ...(unmeasured.length > 0 ? [`Nothing was measured of ${unmeasured.join(', ')}: no data was held out.`] : []),
  ]; // prettier-ignore
}

function stepsOf(history: RunHistory): number {
  return Math.round(history.loss.stretches.at(-1)!.step);
}

/** Characters of a setting in a line; the page has all. */
const ROOM = 48;

/** Short lines: one per metric and run, and per setting and run. */
function asText(runs: readonly ComparedRun[], settings: ReturnType<typeof differing>): string[] {
  const metrics = [...new Set(runs.flatMap(({ measured }) => Object.keys(measured?.metrics ?? {})))];
  const byRun = (name: string, textOfRun: (run: ComparedRun, i: number) => string): string[][] =>
    runs.map((run, i) => [i === 0 ? name : '', run.name, textOfRun(run, i)]);
  const measured = metrics.flatMap((metric) =>
    byRun(metric, ({ measured: own }) => {
      const value = own?.metrics[metric];
      return value === undefined ? '–' : withInterval(short(value), own?.intervals?.[metric]);
    }),
  );
  const trained = byRun('last loss', ({ history }) => `${short(history.lastLoss!)} after ${stepsOf(history)} steps`);
  const differences = settings.flatMap(({ name, values }) => byRun(name, (_, i) => cut(values[i]!)));
  return [
    ...formatTable([['metric', 'run', ''], ...measured, ...trained]),
    '',
    ...(differences.length === 0 ? ['No setting differs.'] : formatTable([['setting', 'run', ''], ...differences])),
    '',
  ];
}

function cut(text: string): string {
  return text.length > ROOM ? `${text.slice(0, ROOM - 1)}…` : text;
}
