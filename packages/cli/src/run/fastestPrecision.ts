/** @file `--precision auto`: the precision and provider of the fastest step among those that are verified. */

import { OnnxLoraError, train } from '@onnx-lora/sdk';
import type { PrecisionName } from '@onnx-lora/sdk';
import type { Context } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import type { Progress } from '../terminal/progress.ts';
import type { Settings } from '../settings/setting.ts';
import { trainOptions } from '../settings/training.ts';
import { planRun, type Shared } from './planning.ts';

/** A precision and where it is computed. */
interface Candidate {
  readonly precision: PrecisionName;
  readonly provider: string;
}

/** Steps of a trial; the first compiles and verifies, so it does not count. */
const STEPS = 4;
/** Least gain over float32: less is noise. */
const GAIN = 0.05;

/**
 * Trains a few steps in each precision of the machine, without saving, and chooses the fastest. A precision takes part if its
 * gradients hold against float32's, as training requires anyway: int8 by cosines on the first batch, bfloat16 by the comparison
 * with ONNX Runtime. The same batches are trained on each time.
 * @returns the settings with the precision and provider
 * @throws OnnxLoraError `CONFIG_INVALID` for a provider without a choice; as {@link planRun}
 */
export async function withFastestPrecision(given: Settings, context: Context, progress: Progress): Promise<Settings> {
  const kept = new Map<string, Promise<unknown>>();
  const shared: Shared = <T>(what: string, key: unknown, make: () => Promise<T>) => {
    const place = JSON.stringify([what, key]);
    if (!kept.has(place)) kept.set(place, make());
    return kept.get(place) as Promise<T>;
  };
  const times: (Candidate & { readonly ms: number })[] = [];
  for (const candidate of candidatesOf(given, context)) {
    const settings = { ...given, ...candidate };
    try {
      const ms = await stepTime(settings, context, { progress, shared });
      times.push({ ...candidate, ms });
    } catch (error) {
      // An error in float32 is a mistake of the settings or the data.
      if (candidate.precision === 'float32' || !(error instanceof OnnxLoraError)) throw error;
      progress.note(`precision ${candidate.precision} is left out: ${error.message}`);
    }
  }
  const [first] = times;
  const best = times.reduce((least, each) => (each.ms < least.ms ? each : least));
  const { precision, provider } = best.ms < first!.ms * (1 - GAIN) ? best : first!;
  const told = times.map((each) => `${each.precision} ${each.ms.toFixed(0)} ms`).join(', ');
  progress.note(`precision ${precision} on ${provider}, by the time of a step: ${told}`);
  return { ...given, precision, provider };
}

/** float32 first. */
function candidatesOf({ provider = 'cpu' }: Settings, { registry }: Context): readonly Candidate[] {
  const on = (where: string, ...precisions: readonly PrecisionName[]): Candidate[] =>
    precisions.map((precision) => ({ precision, provider: where }));
  const openvino = registry.providers.some(({ name }) => name === 'openvino');
  if (provider === 'cpu' || provider === 'auto')
    return [...on('cpu', 'float32', 'int8'), ...(openvino ? on('openvino', 'bfloat16') : [])];
  if (provider.startsWith('openvino')) return on(provider, 'float32', 'bfloat16');
  if (provider === 'webgpu' || provider === 'cuda') return on(provider, 'float32', 'float16');
  throw usageError(`--precision auto has no choice on the provider "${provider}". Name the precision.`);
}

/** Median milliseconds of a step after the first. */
async function stepTime(
  given: Settings,
  context: Context,
  { progress, shared }: { readonly progress: Progress; readonly shared: Shared },
): Promise<number> {
  progress.showLive(0, 1, `timing steps in ${given.precision}`);
  const { model, task, settings, start } = await planRun(given, context, { named: undefined, progress, shared });
  const { precision } = model;
  if (precision && 'smallest' in precision)
    throw new OnnxLoraError('MODEL_UNSUPPORTED', `all weights of "${model.name}" are small, for which integers are no faster. Ask for --precision ${given.precision} to take them all the same.`); // prettier-ignore
  const { checkpoints: _, ...options } = trainOptions(settings, '');
  const ends: number[] = [];
  const run = await train(model, { task, ...start, ...options, stopAfter: STEPS });
  for await (const { type } of run) if (type === 'step') ends.push(performance.now());
  await run.done;
  const times = ends.slice(1).map((end, i) => end - ends[i]!);
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}
