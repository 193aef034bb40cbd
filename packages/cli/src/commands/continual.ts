/** @file `onnx-lora continual`: trains one adapter on tasks in sequence, and measures forgetting. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { continual, type ContinualReport } from '@onnx-lora/methods';
import { type LoraOptions, type Model, OnnxLoraError, type TrainEvent } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import type { Task } from '@onnx-lora/sdk/tasks';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags } from '../options.ts';
import { continualCsv, continualJson, continualPage, type ContinualScores, matrixOf } from '../report/continualPage.ts';
import { progressLine } from '../run/following.ts';
import { inKept, requireKept } from '../run/keptFolder.ts';
import { RunFolder } from '../run/runFolder.ts';
import { planRun } from '../run/planning.ts';
import { checkNames } from '../settings/choices.ts';
import { type ContinualSettings, continualTable } from '../settings/continual.ts';
import { readSection, settingsIn } from '../settings/readSettings.ts';
import type { ResolvedSettings } from '../settings/runConfig.ts';
import { keyOf, type Settings } from '../settings/setting.ts';
import { trainOptions } from '../settings/training.ts';
import { lastOfEach, metricNamed } from '../sweep/checking.ts';
import { usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';
import { formatTable, short } from '../terminal/table.ts';

interface ContinualFlags extends Flags {
  readonly out?: string;
}

/** Contents of the folder, which `--overwrite` removes. */
const own = { journal: 'continual.json', page: 'continual.html', json: 'matrix.json', table: 'matrix.csv', adapter: 'adapter', adapters: 'adapters', checkpoints: 'checkpoints' } as const; // prettier-ignore
const kept = { noun: 'run of tasks', journal: own.journal, lock: 'continual.lock', own: Object.values(own) } as const;

/** Settings of `train` that are refused for several tasks. */
const useless = ['data', 'from', 'adapter', 'eval', 'track', 'tensorboard'] as const satisfies readonly (keyof Settings)[]; // prettier-ignore

/** Makes the command. */
export function continualCommand(context: Context): Command {
  return commandOf({
    name: 'continual',
    description:
      'Trains one adapter on several tasks in turn, and measures all tasks after each. It writes a folder: adapter/, continual.html (a heat map of scores by task and stage), matrix.json and matrix.csv. The file has the common settings of train, and under "continual" the named tasks and the method against forgetting. Everything is checked before the first task starts. After Ctrl-C, a crash or kill -9, the same command continues to the same result.',
    flags: [
      new Option('--config <file>', 'YAML file: settings of train, and the tasks under "continual"'),
      ['out', 'folder of the result (default: one in runs/, named after the file)'],
      new Option('--overwrite', 'remove the result in --out and start over'),
      'output',
    ],
    examples: [
      'onnx-lora continual --config continual.yaml            # into runs/continual; once more to continue',
      'onnx-lora continual --config continual.yaml --json | jq .forgetting',
      'onnx-lora predict models/vit new.png --adapter runs/continual',
    ],
  }).action(async (flags: ContinualFlags) => {
    if (flags.config === undefined)
      throw usageError('--config is missing: name the YAML file that says which tasks are learned.');
    const progress = new Progress(context.terminal, flags);
    const { settings, options } = await readFileOf(flags.config, context);
    const out = flags.out ?? settings.out ?? path.join('runs', path.parse(flags.config).name);
    const folder = { ...kept, path: out };
    requireKept(folder, flags.overwrite);
    const plan = await planTasks(settings, options, out, context, progress);
    await inKept(folder, flags.overwrite ?? false, async () => {
      const stop = new AbortController();
      const interrupt = new Interrupt(() => {
        stop.abort();
        progress.note('Stopping after this step; press Ctrl-C again to end at once.');
      });
      const told = new Told(Object.keys(plan.tasks), progress);
      try {
        const report = await continual(plan.model, {
          ...trainOptions(plan.settings, out),
          ...options,
          tasks: plan.tasks,
          lora: plan.lora,
          signal: stop.signal,
          onEvent: (task, event) => told.event(task, event),
          onTask: (task, scores) => told.learned(task, scores),
        });
        const found = await write(out, report, flags.config!, settings, options);
        context.terminal.result(flags, { out, ending: 'done', ...continualJson(found) }, () => asText(found, out));
      } catch (error) {
        if (!(error instanceof OnnxLoraError) || error.code !== 'CANCELLED' || interrupt.code === undefined)
          throw error;
        progress.note('To continue, give the same command again.');
        context.terminal.result(flags, { out, ending: 'stopped', learned: told.names }, () => [`Stopped; learned so far: ${told.names.join(', ') || 'nothing'}.`]); // prettier-ignore
        context.exitWith(interrupt.code);
      } finally {
        interrupt.release();
      }
    });
  });
}

/** Reads and checks the config file. @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID` */
async function readFileOf(file: string, context: Context): Promise<{ settings: Settings; options: ContinualSettings }> {
  const { content, options } = await readSection(file, 'continual', continualTable, 'with the tasks. Write it beside the settings, such as continual: { tasks: { turned: data/turned, inverted: data/inverted } }.'); // prettier-ignore
  const { tasks, method = 'sequential', replayExamples, lambda } = options;
  if (tasks === undefined || Object.keys(tasks).length < 2)
    throw usageError(`"continual.tasks" in "${file}" must name two tasks at least. Write them as tasks: { turned: data/turned, inverted: data/inverted }.`); // prettier-ignore
  const other =
    replayExamples !== undefined && method !== 'replay'
      ? 'replay-examples'
      : lambda !== undefined && method !== 'o-lora' && method !== 'ewc'
        ? 'lambda'
        : undefined;
  if (other !== undefined) throw usageError(`"continual.${other}" in "${file}" has no use for the method ${method}. Leave it out, or take another method.`); // prettier-ignore
  const settings = settingsIn(content, file);
  const name = useless.find((each) => settings[each] !== undefined);
  if (name !== undefined)
    throw usageError(`"${keyOf(name)}" in "${file}" has no use for several tasks. Leave it out; their data stand in continual.tasks.`); // prettier-ignore
  if (typeof settings.validation === 'string')
    throw usageError(`"validation" in "${file}" is a folder, and each task has examples of its own. Give a fraction such as 0.2, or a part test beside train in the data of each.`); // prettier-ignore
  checkNames(settings, context.registry);
  return { settings, options: { ...options, tasks } };
}

interface Plan {
  readonly model: Model;
  readonly tasks: Readonly<Record<string, Task>>;
  readonly lora: LoraOptions;
  /** Settings of the first task; others differ only in their data. */
  readonly settings: ResolvedSettings;
}

/** Plans the training of each task as `train` does. @throws OnnxLoraError of the first invalid task, naming it */
async function planTasks(
  settings: Settings,
  { tasks: given }: ContinualSettings,
  out: string,
  context: Context,
  progress: Progress,
): Promise<Plan> {
  const shared = lastOfEach();
  const tasks: Record<string, Task> = {};
  let plan: Plan | undefined;
  for (const [name, data] of Object.entries(given)) {
    try {
      const planned = await planRun({ ...settings, data }, context, { named: new RunFolder(out), progress, shared });
      if (!planned.measures)
        throw usageError('No examples are held out to measure it. Hold some out, such as validation: 0.2.');
      tasks[name] = planned.task;
      plan ??= { model: planned.model, tasks, lora: 'lora' in planned.start ? planned.start.lora : {}, settings: planned.settings }; // prettier-ignore
    } catch (error) {
      if (!(error instanceof OnnxLoraError)) throw error;
      throw new OnnxLoraError(error.code, `Task "${name}": ${error.message}`, { cause: error });
    }
  }
  return plan!;
}

class Told {
  readonly names: string[] = [];
  readonly #tasks: readonly string[];
  readonly #progress: Progress;

  constructor(tasks: readonly string[], progress: Progress) {
    this.#tasks = tasks;
    this.#progress = progress;
  }

  event(task: string, event: TrainEvent): void {
    const at = this.#tasks.indexOf(task);
    const { length } = this.#tasks;
    if (event.type === 'step')
      this.#progress.show(at * event.steps + event.step, length * event.steps, `task ${at + 1} of ${length}, ${task}: ${progressLine(event)}`); // prettier-ignore
    else if ('message' in event) this.#progress.note(`warning: ${task}: ${event.message}`);
  }

  learned(task: string, scores: readonly number[]): void {
    this.names.push(task);
    this.#progress.note(`after ${task}: ${this.#tasks.map((name, i) => `${name} ${short(scores[i]!)}`).join('  ')}`);
  }
}

async function write(
  out: string,
  { adapter, ...report }: ContinualReport,
  file: string,
  { metric }: Settings,
  { method = 'sequential' }: ContinualSettings,
): Promise<ContinualScores> {
  const at = (name: string): string => path.join(out, name);
  const found = { method, ...report, isLower: metricNamed(metric ?? report.metric).isLower };
  await adapter.save(at(own.adapter), { overwrite: true });
  await writeFileAtomic(at(own.json), `${JSON.stringify(continualJson(found), null, 1)}\n`);
  await writeFileAtomic(at(own.table), continualCsv(found));
  const title = `Tasks in a row: ${path.basename(path.resolve(out))}`;
  const runtime = `Node ${process.versions.node}`;
  await writeFileAtomic(at(own.page), continualPage({ title, found, file: await readFile(file, 'utf8'), date: new Date(), runtime })); // prettier-ignore
  return found;
}

function asText(found: ContinualScores, out: string): string[] {
  const { names, rows } = matrixOf(found);
  const { metric, tasks, average, forgetting, forwardTransfer } = found;
  return [
    ...formatTable([['after', ...tasks], ...rows.map((row, i) => [names[i]!, ...row.map(short)])]),
    '',
    `${metric} at the end ${short(average)}, forgetting ${short(forgetting)}, forward transfer ${short(forwardTransfer)}`,
    `adapter  ${path.join(out, own.adapter)}`,
    `page     ${path.join(out, own.page)}`,
  ];
}
