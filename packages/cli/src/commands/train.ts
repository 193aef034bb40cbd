/** @file `onnx-lora train`: an adapter from a model and data. */

import { Command } from 'commander';
import type { Context } from '../context.ts';
import { adapterSettings } from '../lora.ts';
import { addConfig, addExamples, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { readSettings } from '../readSettings.ts';
import { oneModel } from '../sources.ts';
import { short } from '../table.ts';
import { runTraining, type TrainSummary } from '../trainRun.ts';

interface TrainFlags extends OutputFlags {
  readonly config?: string;
  readonly overwrite?: boolean;
  /** False with `--no-eval`. */
  readonly eval: boolean;
}

/** Makes the command. */
export function trainCommand(context: Context): Command {
  const command = new Command('train')
    .summary('train an adapter')
    .description(
      'Trains a LoRA adapter and leaves a folder: adapter/ (as PEFT has it), report.html, metrics.jsonl, checkpoints/ and config.yaml, which repeats the run. Where data is held out (by --validation, or as validation, val or test beside train), it is measured before and after. Ctrl-C saves what there is and exits with 130; a second Ctrl-C ends at once.',
    )
    .argument('[model]', 'folder, .onnx file or hub id; or --model');
  addSettings(
    command,
    [
      'model',
      'data',
      'validation',
      'task',
      'out',
      ...adapterSettings,
      'init',
      'original',
      'initBatches',
      'steps',
      'epochs',
      'batchSize',
      'lr',
      'schedule',
      'warmupSteps',
      'weightDecay',
      'seed',
      'provider',
      'threads',
      'checkpointEvery',
    ],
    { out: 'folder for the run' },
  );
  command
    .option('--overwrite', 'replace the run that is in --out')
    .option('--no-eval', 'do not measure before and after');
  addConfig(command);
  addOutput(command);
  addExamples(
    command,
    'onnx-lora train models/vit --data photos --out runs/photos',
    'onnx-lora train models/vit --data photos --validation 0.2 --out runs/photos         # measured on a fifth',
    'onnx-lora train models/vit --data photos --targets all-linear --r 16 --lr 5e-4 --epochs 5 --out runs/wide',
    "onnx-lora train models/vit --data photos --targets 'node:/attention/ kind:linear' --bias lora_only --out runs/by-node",
    "onnx-lora train models/vit --data photos --init pissa --out runs/pissa   # starts with the weights' main directions",
    'onnx-lora train --config runs/photos/config.yaml --seed 1 --out runs/photos-1   # the same again, another seed',
  );
  return command.action(async (word: string | undefined, flags: TrainFlags & Record<string, unknown>) => {
    const settings = await readSettings(flags, flags.config);
    const model = oneModel(word, flags['model'], settings);
    const { summary, exitCode } = await runTraining(
      { ...settings, ...(model === undefined ? {} : { model }) },
      { overwrite: flags.overwrite ?? false, evaluate: flags.eval, quiet: flags.quiet ?? false },
      context,
    );
    if (flags.json) context.terminal.printJson(summary);
    else for (const line of asText(summary)) context.terminal.print(line);
    context.exitWith(exitCode);
  });
}

function asText({ out, adapter, report, steps, loss, stopped, seconds, before, after }: TrainSummary): string[] {
  if (adapter === null) return [`Stopped before the first step, so there is no adapter. Settings are in ${out}.`];
  const how = stopped ? 'Stopped' : 'Trained';
  const [name] = Object.keys(after ?? {});
  return [
    `${how} after ${steps} step${steps === 1 ? '' : 's'} in ${seconds.toFixed(1)} s, last loss ${short(loss!)}.`,
    ...(name === undefined ? [] : [`${name.padEnd(8)} ${short(before![name]!)} before, ${short(after![name]!)} after`]),
    `adapter  ${adapter}`,
    `report   ${report}`,
  ];
}
