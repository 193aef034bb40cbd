/** @file `onnx-lora train`: trains an adapter. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type Command, Option } from 'commander';
import { clusterFlags, type ClusterFlags, isForCluster, runOnCluster } from '../cluster/onCluster.ts';
import { trainPart } from '../cluster/trainPart.ts';
import { checkNames } from '../settings/choices.ts';
import type { Context } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { commandOf, type Flag, modelArgument } from '../options.ts';
import { readSettings } from '../settings/readSettings.ts';
import type { SettingName, Settings } from '../settings/setting.ts';
import { descriptionOf, settingInfos } from '../settings/settings.ts';
import { numberFlag, oneModel } from '../sources.ts';
import { short } from '../terminal/table.ts';
import { lossesOf } from '../run/verdict.ts';
import { runTraining, type TrainSummary } from '../run/trainRun.ts';

interface TrainFlags extends ClusterFlags {
  /** The run to resume. */
  readonly resume?: string;
}

const names = Object.keys(settingInfos) as SettingName[];

/** Settings of training; `out` comes first among those of the run. */
const trainSettings: readonly Flag[] = names
  .filter((name) => !['adapter', 'plugins', 'out'].includes(name))
  .flatMap((name): Flag[] => {
    if (name === 'from') return [['out', 'folder for the run (default: a new one in runs/)'], name];
    if (name !== 'validation') return [name];
    const usual = 'default: a tenth of each class, where the data has no part for it';
    return [[name, `${descriptionOf(name)} (${usual})`]];
  });

/** Makes the command. */
export function trainCommand(context: Context): Command {
  return commandOf({
    name: 'train',
    description:
      "Trains a LoRA adapter into a folder: adapter/ (PEFT's format), report.html, metrics.jsonl, checkpoints/ and config.yaml, which repeats the run. Held-out data (--validation, or folders validation, val or test beside train) is measured before and after. Ctrl-C saves a checkpoint and exits with 130; a second Ctrl-C exits at once. After a crash, --resume continues from the last checkpoint to the same adapter, bit for bit.",
    words: modelArgument,
    flags: [
      ...trainSettings,
      new Option('--resume <folder>', 'continue the interrupted run in this folder, as if it had not stopped'),
      new Option('--overwrite', 'replace the run in --out'),
      new Option('--workers <n>', 'with --on: processes that share the batches of each step (--accumulation-steps)'),
      ...clusterFlags(),
      'config',
      'output',
    ],
    examples: [
      'onnx-lora train models/vit --data photos                                            # into runs/photos-image-classification',
      'onnx-lora train models/vit --data photos --validation 0.2 --out runs/photos         # measured on a fifth',
      'onnx-lora train models/vit --data photos --targets all-linear --r 16 --lr 5e-4 --epochs 5 --out runs/wide',
      "onnx-lora train models/vit --data photos --targets 'node:/attention/ kind:linear' --bias lora_only --out runs/by-node",
      "onnx-lora train models/vit --data photos --init pissa --out runs/pissa   # starts with the weights' main directions",
      'onnx-lora train models/vit --data photos --validation 0.2 --epochs 50 --eval-every epoch --patience 5 --load-best --on-bad-loss backoff --on-bad-sample skip --out runs/night',
      'onnx-lora train models/vit --data more-photos --from runs/photos --lr 1e-4 --out runs/more   # on from an adapter',
      'onnx-lora train --resume runs/night   # after Ctrl-C, a crash or a power cut',
      'onnx-lora train models/vit --data photos --out runs/far --batch-size 8 --accumulation-steps 4 --on ray://cluster.lab:8265 --workers 4',
      'onnx-lora train --config runs/photos/config.yaml --seed 1 --out runs/photos-1   # the same again, another seed',
    ],
  }).action(async (word: string | undefined, flags: TrainFlags) => {
    const { resume } = flags;
    const settings = await readSettings(flags, resume === undefined ? flags.config : configToResume(resume, flags));
    checkNames(settings, context.registry);
    const model = oneModel(word, flags['model'], settings);
    const { overwrite = false, quiet = false } = flags;
    const whole = { ...settings, ...withoutUndefined({ model, out: resume }) };
    if (isForCluster(flags)) {
      await runOnCluster(context, flags, flags.attach === undefined ? driverOf(whole, flags) : []);
      return;
    }
    const { part } = context;
    if (part && part.job.rank > 0) {
      await trainPart(whole, part, context);
      return;
    }
    // A worker in place of one that has died continues its run, where that has begun.
    const again = part?.job.again === true;
    const { summary, exitCode } = await runTraining(
      whole,
      { overwrite: overwrite || again, resume: again ? holdsRun(whole.out!) : resume !== undefined, quiet },
      context,
    );
    context.terminal.result(flags, summary, () => asText(summary));
    context.exitWith(exitCode);
  });
}

/** Flags for the driver on the cluster. @throws OnnxLoraError `CONFIG_INVALID` for what workers cannot share */
function driverOf({ out, accumulationSteps = 1, precision, threads = 1 }: Settings, { workers }: TrainFlags): string[] {
  const count = numberFlag('workers', workers) ?? 1;
  if (!Number.isInteger(count) || count < 1)
    throw usageError(`--workers must be a whole number of at least 1, but it is ${workers}.`);
  if (out === undefined) throw usageError('--out is missing: name the folder of the run, which all workers read.');
  if (precision === 'auto')
    throw usageError('--precision auto may choose otherwise on each machine. Name a precision.');
  if (accumulationSteps < count) {
    throw usageError(
      `${count} workers share the batches of a step, and there ${accumulationSteps === 1 ? 'is 1' : `are ${accumulationSteps}`} (--accumulation-steps). Give at least ${count}; --batch-size is the size of each.`,
    );
  }
  return ['--workers', String(count), '--batches', String(accumulationSteps), '--cpus', String(threads)];
}

function holdsRun(folder: string): boolean {
  return existsSync(path.join(folder, 'config.yaml'));
}

function configToResume(folder: string, flags: TrainFlags): string {
  const other = ['config', 'out', 'overwrite'].find((name) => flags[name] !== undefined);
  if (other !== undefined) {
    throw usageError(
      `--resume continues in "${folder}" with the settings of its config.yaml, so --${other} has no use. Leave one of them out.`,
    );
  }
  const config = path.join(folder, 'config.yaml');
  if (existsSync(config)) return config;
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    `"${folder}" holds no config.yaml, so it is not the folder of a run. Name the folder that was given as --out; where that run ended before its first step, train without --resume.`,
  );
}

function asText(summary: TrainSummary): string[] {
  const { out, adapter, report, steps, loss, endedBy, seconds, before, after, best } = summary;
  if (adapter === null) return [`Stopped before the first step, so there is no adapter. Settings are in ${out}.`];
  const how = {
    steps: 'Trained for',
    stop: 'Stopped after',
    earlyStopping: 'Ended early, no longer getting better, after',
  }[endedBy];
  const [name] = Object.keys(after ?? {});
  return [
    `${how} ${steps} step${steps === 1 ? '' : 's'} in ${seconds.toFixed(1)} s.${loss === null ? '' : ` Last loss ${short(loss)}.`}`,
    ...(best ? [`best     ${short(best.value)} at step ${best.step}`] : []),
    ...leftOut(summary),
    ...(name === undefined ? [] : [`${name.padEnd(8)} ${short(before![name]!)} before, ${short(after![name]!)} after`]),
    `adapter  ${adapter}`,
    `report   ${report}`,
    verdictLine(summary),
  ];
}

/** The verdict. Held-out numbers of an unusable adapter would mislead. */
function verdictLine({ diverged, verdict, endedBy }: TrainSummary): string {
  if (diverged) return `The run has diverged: ${lossesOf(diverged)} Its adapter is of no use.`;
  if (verdict) return verdict.text;
  return `Whether LoRA helps is not known: ${endedBy === 'stop' ? 'the run has not ended' : 'no data were held out and measured'}.`;
}

function leftOut({ skippedSteps, badSamples }: TrainSummary): string[] {
  return [
    ...(skippedSteps > 0 ? [`skipped  ${skippedSteps} step${skippedSteps === 1 ? '' : 's'} with a bad loss`] : []),
    ...(badSamples > 0 ? [`left out ${badSamples} example${badSamples === 1 ? '' : 's'} that could not be read`] : []),
  ];
}
