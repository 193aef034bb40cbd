/** @file One worker's part of a training, beside the first one, which writes the run's folder. */

import { train } from '@onnx-lora/sdk';
import type { ChannelExchange } from '@onnx-lora/cluster';
import type { Context } from '../context.ts';
import { planRun } from '../run/planning.ts';
import { RunFolder } from '../run/runFolder.ts';
import type { Settings } from '../settings/setting.ts';
import { trainOptions } from '../settings/training.ts';
import { Progress } from '../terminal/progress.ts';

/** Trains as the first worker does, to the end of the run. Writes nothing. */
export async function trainPart(given: Settings, part: ChannelExchange, context: Context): Promise<void> {
  const folder = new RunFolder(given.out!);
  const progress = new Progress(context.terminal, { quiet: true });
  const { model, task, settings, start } = await planRun(given, context, { named: folder, progress });
  // The first worker alone decides when to end.
  const { checkpoints: _c, earlyStopping: _e, ...options } = trainOptions(settings, folder.checkpoints);
  const resume = part.job.resume ? { resume: folder.checkpoints } : {};
  const run = await train(model, { task, ...start, ...options, ...resume, exchange: part });
  await run.done;
}
