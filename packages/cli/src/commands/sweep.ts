/** @file `onnx-lora sweep`: finds the best way to train by trials. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError, type ErrorCode } from '@onnx-lora/sdk';
import { withoutUndefined, writeFileAtomic } from '@onnx-lora/sdk/data';
import { type Command, Option } from 'commander';
import { clusterFlags, type ClusterFlags, isForCluster, runOnCluster } from '../cluster/onCluster.ts';
import type { Context } from '../context.ts';
import { commandOf } from '../options.ts';
import { requestedPlugins } from '../plugins/requested.ts';
import { sweepPage } from '../report/sweepPage.ts';
import { readDraws, type RunDraws } from '../run/draws.ts';
import { inKept, requireKept } from '../run/keptFolder.ts';
import { hasChannel, TrialChannel } from '../sweep/channelLaunch.ts';
import { checkTrials, metricNamed } from '../sweep/checking.ts';
import { folderOf, planSweep, type SweepPlan } from '../sweep/configurations.ts';
import { outcomeCsv, outcomeJson } from '../sweep/files.ts';
import { type Metric, rungsOf } from '../sweep/halving.ts';
import { Journal } from '../sweep/journal.ts';
import { type DrawsOfTrial, outcomeOf, type SweepOutcome } from '../sweep/outcome.ts';
import { probability, recommendationOf } from '../sweep/recommendation.ts';
import { type Ending, TrialRunner } from '../sweep/runTrials.ts';
import { readSweepFile, type SweepFile } from '../sweep/sweepFile.ts';
import { launch } from '../sweep/trialProcess.ts';
import { Watcher } from '../sweep/watching.ts';
import { exitCodes, usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';
import { clock, formatTable, grouped, short, withInterval } from '../terminal/table.ts';

interface SweepFlags extends ClusterFlags {
  readonly out?: string;
  readonly plan?: boolean;
  readonly retry?: boolean;
  readonly plugins?: readonly string[];
}

/** Contents of the folder, which `--overwrite` removes. */
const own = { journal: 'sweep.json', page: 'sweep.html', table: 'sweep.csv', outcome: 'outcome.json', trials: 'trials' } as const; // prettier-ignore
const kept = { noun: 'sweep', journal: own.journal, lock: 'sweep.lock', own: Object.values(own) } as const;

/** Makes the command. */
export function sweepCommand(context: Context): Command {
  return commandOf({
    name: 'sweep',
    description:
      'Trains with many settings, each trial in its own process, and writes a page with a recommendation: scores with intervals over trained parameters, time, memory and bytes, Pareto fronts, and paired tests against plain LoRA. The file has the common settings of train, and the search under "sweep": methods, values, grid, random or halving, seeds, folds, and a budget of time and memory. All trials are checked before the first starts. After Ctrl-C, a crash or kill -9, the same command continues and keeps finished trials.',
    flags: [
      new Option('--config <file>', 'YAML file: settings of train, and the settings to try under "sweep"'),
      ['out', 'folder of the sweep (default: one in runs/, named after the file)'],
      new Option('--plan', 'check and list all trials without training'),
      new Option('--retry', 'run failed trials again'),
      new Option('--overwrite', 'remove the sweep in --out and start over'),
      ...clusterFlags(),
      'output',
    ],
    examples: [
      'onnx-lora sweep --config sweep.yaml --plan              # what would be trained?',
      'onnx-lora sweep --config sweep.yaml                     # into runs/sweep; once more to continue',
      'onnx-lora sweep --config sweep.yaml --json | jq .recommendation',
      'onnx-lora sweep --config sweep.yaml --on ray://cluster.lab:8265   # trials on all its machines',
    ],
  }).action(async (flags: SweepFlags) => {
    if (isForCluster(flags)) {
      if (flags.config !== undefined) planSweep(await readSweepFile(flags.config), context.registry);
      else if (flags.attach === undefined) throw noConfig();
      await runOnCluster(context, flags);
      return;
    }
    if (flags.config === undefined) throw noConfig();
    const file = await readSweepFile(flags.config);
    const plan = planSweep(file, context.registry);
    const out = flags.out ?? outOf(file);
    const folder = { ...kept, path: out };
    requireKept(folder, flags.overwrite);
    const progress = new Progress(context.terminal, flags);
    const found = await checkTrials(plan, context, progress);
    const trials = plan.configurations.reduce((sum, each) => sum + each.trials.length, 0);
    const rungs = rungsOf(plan, file.options);
    if (flags.plan) {
      context.terminal.result(flags, planJson(plan, out, trials, rungs), () => planText(plan, trials, rungs));
      return;
    }
    await inKept(folder, flags.overwrite ?? false, async () => {
      const journal = Journal.open(out);
      const ids = plan.configurations.flatMap((each) => each.trials.map(({ id }) => id));
      const before = ids.filter((id) => journal.get(id)?.status === 'done').length;
      if (flags.retry) for (const id of ids) if (journal.get(id)?.status === 'failed') journal.forget(id);
      progress.note(`${grouped(trials)} trials of ${grouped(plan.configurations.length)} configurations in ${out}${before > 0 ? `; ${grouped(before)} are done` : ''}`); // prettier-ignore
      const metric = found ?? metricOfFirst(ids, journal);
      const { factor } = file.options;
      const { resources = {} } = file.options;
      const channel = hasChannel ? new TrialChannel(resources) : undefined;
      // The cluster has its own queue.
      const parallel = channel && !file.hasParallel ? Math.min(trials, MOST_QUEUED) : file.options.parallel;
      const runner = new TrialRunner({
        plan,
        journal,
        options: { ...file.options, parallel },
        out,
        plugins: await requestedPlugins(flags, context.folder),
        launch: channel?.launch ?? launch,
        threads: channel && Math.max(1, Math.floor(resources['cpus'] ?? 1)),
        rungs,
        factor,
        metric,
        onChange: () => watcher.show(),
      });
      const watcher: Watcher = new Watcher(
        { plan, metric, journal, parallel, rungs, factor, underway: runner.underway },
        { terminal: context.terminal, progress, quiet: flags.quiet ?? false },
      );
      const interrupt = new Interrupt(() => {
        runner.stop('stopped');
        progress.note('Stopping after the steps under way; press Ctrl-C again to end at once.');
      });
      let ending: Ending;
      try {
        ending = await runner.run();
      } finally {
        interrupt.release();
        channel?.close();
      }
      const known = outcomeOf(plan, metric, journal, drawsIn(plan, out));
      const sofar = ending === 'done' ? '' : 'So far: ';
      const outcome = { ...known, recommendation: `${sofar}${recommendationOf(known)}` };
      const page = await write(out, outcome, ending, file, journal);
      if (ending === 'time') progress.note(`The ${file.options.minutes} minutes are over. With more of them, the same command continues.`); // prettier-ignore
      if (ending === 'stopped') progress.note('To continue, give the same command again.');
      context.terminal.result(flags, { out, page, ending, ...outcomeJson(outcome) }, () => asText(outcome, out, page, journal)); // prettier-ignore
      context.exitWith(interrupt.code ?? exitCodes.done);
      requireSome(outcome, ids, journal);
    });
  });
}

/** Tasks that wait in a cluster at a time. */
const MOST_QUEUED = 256;

function noConfig(): OnnxLoraError {
  return usageError('--config is missing: name the YAML file with the configurations to try.');
}

/** Reads the draws of trials, each once. */
function drawsIn({ configurations }: SweepPlan, out: string): DrawsOfTrial {
  const folders = new Map(
    configurations.flatMap((each) => each.trials.map((trial) => [trial.id, folderOf(each, trial)])),
  );
  const known = new Map<string, RunDraws>();
  return (id) => {
    const draws = known.get(id) ?? readDraws(path.join(out, 'trials', folders.get(id)!));
    known.set(id, draws);
    return draws;
  };
}

function outOf({ file, content }: SweepFile): string {
  return typeof content['out'] === 'string' ? content['out'] : path.join('runs', path.parse(file).name);
}

/** The first metric of the first measured trial, for tasks that cannot name metrics beforehand. */
function metricOfFirst(ids: readonly string[], journal: Journal): Metric {
  const found = (): Metric => {
    const measured = ids.flatMap((id) => journal.get(id)?.measured ?? [])[0];
    return metricNamed(Object.keys(measured?.metrics ?? {})[0] ?? 'score');
  };
  return {
    get name() {
      return found().name;
    },
    get isLower() {
      return found().isLower;
    },
  };
}

async function write(
  out: string,
  outcome: SweepOutcome,
  ending: Ending,
  { file, options: { parallel } }: SweepFile,
  { seconds }: Journal,
): Promise<string> {
  const at = (name: string): string => path.join(out, name);
  await writeFileAtomic(at(own.outcome), `${JSON.stringify(outcomeJson(outcome), null, 1)}\n`);
  await writeFileAtomic(at(own.table), outcomeCsv(outcome));
  await writeFileAtomic(
    at(own.page),
    sweepPage({
      title: `Sweep: ${path.basename(path.resolve(out))}`,
      outcome,
      isWhole: ending === 'done',
      file: await readFile(file, 'utf8'),
      seconds,
      parallel,
      date: new Date(),
      runtime: `Node ${process.versions.node}`,
    }),
  );
  return at(own.page);
}

/** @throws OnnxLoraError of the first trial when all have failed */
function requireSome({ trials }: SweepOutcome, ids: readonly string[], journal: Journal): void {
  if (trials.done > 0 || trials.failed < trials.all) return;
  const { code, message } = ids.flatMap((id) => journal.get(id)?.failure ?? [])[0]!;
  throw new OnnxLoraError(
    code as ErrorCode,
    `All ${trials.all} trials have failed, the first so: ${message} Once the cause is mended, --retry runs them again.`,
  );
}

function planJson({ configurations }: SweepPlan, out: string, trials: number, rungs: readonly number[]): unknown {
  return {
    out,
    trials,
    rungs,
    configurations: configurations.map(({ name, method, values, trials: own_ }) => ({
      configuration: name,
      method,
      settings: values,
      trials: own_.map(({ id, seed, fold }) => withoutUndefined({ id, seed, fold })),
    })),
  };
}

function planText({ configurations }: SweepPlan, trials: number, rungs: readonly number[]): string[] {
  const rows = configurations.map(({ name, trials: own_ }) => [
    name,
    own_.map(({ seed, fold }) => (fold === undefined ? seed : `${seed}/${fold}`)).join(' '),
  ]);
  return [
    ...formatTable([['configuration', 'seeds'], ...rows]),
    `${grouped(trials)} trials${rungs.length > 1 ? `; the best continue to the end: ${rungs.map((part) => `${short(100 * part)}%`).join(', ')} of the steps` : ''}`,
  ];
}

function asText(
  { methods, metric, trials, recommendation, baseline, verdict }: SweepOutcome,
  out: string,
  page: string,
  { seconds }: Journal,
): string[] {
  const rows = methods.map(({ method, best, test }) => [
    method,
    best.configuration.name,
    withInterval(short(best.score!), best.interval),
    test
      ? `${test.difference > 0 ? '+' : ''}${withInterval(short(test.difference), test.interval)}`
      : method === baseline
        ? 'baseline'
        : '–',
    test?.adjusted === undefined ? '' : `p ${probability(test.adjusted)}`,
    best.parameters === undefined ? '' : grouped(Math.round(best.parameters)),
  ]);
  const failed = trials.failed > 0 ? `, ${trials.failed} failed,` : '';
  return [
    `${trials.done} of ${trials.all} trials done${failed} in ${clock(seconds)}.`,
    '',
    ...(rows.length > 0
      ? [...formatTable([['method', 'at its best', metric.name, 'better by', '', 'parameters'], ...rows]), '']
      : []),
    `page   ${page}`,
    `table  ${path.join(out, own.table)}`,
    `runs   ${path.join(out, 'trials')}, each with its adapter and report`,
    '',
    ...(recommendation === verdict.text ? [] : [recommendation]),
    verdict.text,
  ];
}
