/** @file `onnx-lora eval`: measures a model with or without an adapter. */

import { evaluate, type Evaluation } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import { type Command, Option } from 'commander';
import { checkNames } from '../settings/choices.ts';
import type { Context } from '../context.ts';
import { machineOptions } from '../settings/training.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
import { usageError } from '../terminal/errors.ts';
import type { Settings } from '../settings/setting.ts';
import { trainedOnOf } from '../run/runFolder.ts';
import { pathOfData } from '../plugins/dataset.ts';
import { Progress } from '../terminal/progress.ts';
import { readSettings, withTaskSettings } from '../settings/readSettings.ts';
import { chooseTask, withWarnings } from '../chosenTask.ts';
import { chosenAdapter, oneModel, openNamed, placedOn, requireFlag, taskOptions } from '../sources.ts';
import { formatTable, grouped, short, withInterval } from '../terminal/table.ts';

const splits = ['held-out', 'test', 'all'] as const;

/** Makes the command. */
export function evalCommand(context: Context): Command {
  return commandOf({
    name: 'eval',
    description:
      "Evaluates a model on labelled data: on held-out data (--validation, or folders validation, val or test beside train) if there is any, else on all. With a run's adapter, training data is left out, except with --split all. Without --adapter, evaluates the base.",
    words: modelArgument,
    flags: [
      'model',
      'fix',
      'data',
      'validation',
      'task',
      'set',
      'adapter',
      'batchSize',
      'onBadSample',
      'seed',
      'provider',
      'precision',
      'threads',
      new Option(
        '--split <part>',
        'data to measure: held-out, test (a part of the data), or all, including training data',
      )
        .choices(splits)
        .default('held-out'),
      'config',
      'mismatch',
      'output',
    ],
    examples: [
      'onnx-lora eval models/vit --data photos/test                          # the base',
      'onnx-lora eval models/vit --data photos/test --adapter runs/photos    # with an adapter',
      'onnx-lora eval models/vit --data photos/test --json                   # {"accuracy":0.87,…}',
    ],
  }).action(async (word: string | undefined, flags: Flags & { readonly split: string }) => {
    const { terminal } = context;
    const settings = await readSettings(flags, flags.config);
    checkNames(settings, context.registry);
    const progress = new Progress(terminal, flags);
    const source = requireFlag(settings.data, 'data', 'name the labelled data to measure on');
    const data = await pathOfData(source, context.registry, progress);
    const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
    const chosen = await chosenAdapter(settings);
    const adapter = chosen?.adapter;
    const tell = (line: string): void => progress.intro(line);
    const factory = await chooseTask(settings.task, model, context, tell, chosen);
    if (adapter) await placedOn(model, adapter, flags.allowBaseMismatch);
    const asked = flags.split === 'test' ? withTest(settings, factory) : settings;
    const created = factory.create(taskOptions(withTaskSettings(asked, factory), data, settings.seed ?? 0));
    const task = withWarnings(created, tell);
    const trainedOn = chosen && (await trainedOnOf(chosen.source));
    const evaluation = await evaluate(model, {
      task,
      split: flags.split === 'all' ? 'all' : 'held-out',
      ...withoutUndefined({ adapter, trainedOn, batchSize: settings.batchSize, onBadSample: settings.onBadSample }),
      ...machineOptions(settings),
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
      onBatch: (done, total) => progress.showLive(done, total, `${grouped(done)} of ${grouped(total)} examples`),
    });
    terminal.result(flags, metricsJson(evaluation), () => metricsText(evaluation));
  });
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a task without splits */
function withTest(settings: Settings, { name, settings: known }: TaskFactory): Settings {
  if (known?.rows.some((setting) => setting.name === 'evalSplit'))
    return { ...settings, set: { ...settings.set, evalSplit: 'test' } };
  throw usageError(
    `The task "${name}" has no setting evalSplit, so --split test has no use. Give the test data alone.`,
  );
}

function metricsJson(evaluation: Evaluation): Record<string, unknown> {
  const { metrics, intervals, examples, badSamples, trainedOn, leftOut, untrainedHead, probedHead } = evaluation;
  const heads = { probedHead: probedHead || undefined, untrainedHead: untrainedHead || undefined };
  return {
    ...metrics,
    ...withoutUndefined({ intervals, examples, trainedOn, leftOut, ...heads, badSamples: badSamples?.length }),
  };
}

function metricsText(evaluation: Evaluation): string[] {
  const { metrics, intervals, examples, seconds, badSamples = [], trainedOn = 0, leftOut = 0 } = evaluation;
  const rows = Object.entries(metrics).map(([name, value]) => [name, withInterval(short(value), intervals?.[name])]);
  const left = badSamples.length === 0 ? '' : `; ${grouped(badSamples.length)} left out: ${badSamples[0]!.message}`;
  const those = examples === 1 ? '1 example' : `${grouped(examples)} examples`;
  return [
    ...formatTable(rows),
    `on ${those} in ${seconds.toFixed(1)} s${left}`,
    ...(leftOut > 0
      ? [`${grouped(leftOut)} more ${leftOut === 1 ? 'is' : 'are'} left out, since the run was trained on ${leftOut === 1 ? 'it' : 'them'}; --split all measures everything.`]
      : []), // prettier-ignore
    ...(trainedOn > 0
      ? [`warning: ${trainedOn >= examples ? 'all' : `${grouped(trainedOn)} of these`} were trained on, which says little of new ones. Measure data that the run has not seen.`]
      : []), // prettier-ignore
    ...(evaluation.probedHead
      ? ['The model has no head for these labels: this is a linear probe, fitted to the frozen model on the training data.']
      : []), // prettier-ignore
    ...(evaluation.untrainedHead
      ? ['warning: the model has no head for these labels, so these are the numbers of an untrained one, which guesses. Name an adapter with --adapter.']
      : []), // prettier-ignore
  ];
}
