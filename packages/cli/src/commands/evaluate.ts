/** @file `onnx-lora eval`: how good a model is, with or without an adapter. */

import { evaluate, type Evaluation } from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { machineOptions } from '../lora.ts';
import { addConfig, addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { pathOfData } from '../plugins/dataset.ts';
import { Progress } from '../progress.ts';
import { readSettings } from '../readSettings.ts';
import { chooseTask, chosenAdapter, oneModel, openNamed, requireFlag, taskOptions } from '../sources.ts';
import { formatTable, grouped, short, withInterval } from '../table.ts';

interface EvalFlags extends OutputFlags {
  readonly config?: string;
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function evalCommand(context: Context): Command {
  const command = new Command('eval')
    .summary('measure a model on labelled data, with or without an adapter')
    .description(
      'Measures a model on labelled data: on what is held out of it (by --validation, or as validation, val or test beside train) where there is such, else on all of it. Without --adapter, measures the base.',
    )
    .argument('[model]', 'folder, .onnx file or hub id; or --model');
  addSettings(command, [
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
    'threads',
  ]);
  addMismatch(addConfig(command));
  addOutput(command);
  addExamples(
    command,
    'onnx-lora eval models/vit --data photos/test                          # the base',
    'onnx-lora eval models/vit --data photos/test --adapter runs/photos    # with an adapter',
    'onnx-lora eval models/vit --data photos/test --json                   # {"accuracy":0.87,…}',
  );
  return command.action(async (word: string | undefined, flags: EvalFlags & Record<string, unknown>) => {
    const { terminal } = context;
    const settings = await readSettings(flags, flags.config);
    const catalogue = context.catalogue();
    const progress = new Progress(terminal, flags);
    const source = requireFlag(settings.data, 'data', 'name the labelled data to measure on');
    const data = await pathOfData(source, catalogue, progress);
    const model = await openNamed(oneModel(word, flags['model'], settings), catalogue, settings);
    const chosen = await chosenAdapter(settings);
    const adapter = chosen?.adapter;
    const factory = await chooseTask(settings.task, model, context, chosen);
    const task = factory.create(taskOptions(factory, settings, data, settings.seed ?? 0));
    const evaluation = await evaluate(model, {
      task,
      ...(adapter ? { adapter } : {}),
      ...(settings.batchSize === undefined ? {} : { batchSize: settings.batchSize }),
      ...(settings.onBadSample === undefined ? {} : { onBadSample: settings.onBadSample }),
      ...machineOptions(settings),
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
      onBatch: (done, total) => progress.showLive(done, total, `${grouped(done)} of ${grouped(total)} examples`),
    });
    if (flags.json) terminal.printJson(metricsJson(evaluation));
    else for (const line of metricsText(evaluation)) terminal.print(line);
  });
}

function metricsJson({ metrics, intervals, examples, badSamples }: Evaluation): Record<string, unknown> {
  return {
    ...metrics,
    ...(intervals ? { intervals } : {}),
    examples,
    ...(badSamples ? { badSamples: badSamples.length } : {}),
  };
}

function metricsText({ metrics, intervals, examples, seconds, badSamples = [] }: Evaluation): string[] {
  const rows = Object.entries(metrics).map(([name, value]) => [name, withInterval(short(value), intervals?.[name])]);
  const left = badSamples.length === 0 ? '' : `; ${grouped(badSamples.length)} left out: ${badSamples[0]!.message}`;
  return [...formatTable(rows), `on ${grouped(examples)} examples in ${seconds.toFixed(1)} s${left}`];
}
