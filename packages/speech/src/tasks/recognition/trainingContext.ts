/** @file How much of its window the model hears in training, from how long the recordings are. */

import { type InputSizes, OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { AudioReader } from '../../audio/audio.ts';
import type { WaveAugmentation } from '../../augment/augmentWave.ts';
import { longestSeconds, statedSeconds } from '../../data/clipLengths.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import { type ContextSeconds, contextOf, shortExtractor } from '../../features/audioContext.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';

/** What training hears. */
export interface TrainingContext {
  readonly extractor: FeatureExtractor;
  /** The sizes that inputs have by it, where they are smaller than the graph says. */
  readonly inputSizes?: InputSizes;
}

/** What decides about it. */
export interface TrainingContextRequest {
  readonly model: TaskModel;
  readonly records: readonly SpeechRecord[];
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  readonly context: ContextSeconds;
  /** How the sound is changed in training, which may make clips longer. */
  readonly augment: readonly WaveAugmentation[];
}

/** So many recordings, of which nothing says how long they are, are read for it; of more, the whole window is heard. */
const MOST_MEASURED = 2000;
/** Durations in manifests are rounded. */
const SLACK_SECONDS = 0.05;

/**
 * The extractor for training. By `auto` it hears as much of its window as the longest recording takes, and little of the silence
 * behind that.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a number of seconds that cannot be; as the reader
 */
export async function trainingContext(request: TrainingContextRequest): Promise<TrainingContext> {
  const { model, extractor, context } = request;
  const { maxSamples, sampleRate, inputName } = extractor;
  if (maxSamples === undefined) return { extractor };
  const window = maxSamples / sampleRate;
  const longest = context === 'auto' ? await longestOf(request, window) : window;
  const seconds = contextOf(context, longest, window);
  const short = seconds === undefined ? undefined : shortExtractor(extractor, seconds);
  // A graph that leaves the length open says nothing of which lengths it takes.
  if (!short || typeof model.inputs[inputName]?.dims?.[short.axis] !== 'number') return { extractor };
  const { sizes: inputSizes } = short;
  // What nobody has asked for is not worth an error.
  if (context === 'auto' && !canFollow(model, inputSizes)) return { extractor };
  return { extractor: short, inputSizes };
}

function canFollow(model: TaskModel, sizes: InputSizes): boolean {
  try {
    model.withInputSizes?.(sizes);
    return true;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'MODEL_UNSUPPORTED') return false;
    throw error;
  }
}

/** Seconds of the longest recording, or the whole window where finding out would take too long. */
async function longestOf({ records, reader, augment }: TrainingContextRequest, window: number): Promise<number> {
  const unknown = records.filter((record) => statedSeconds(record) === undefined);
  if (unknown.length > MOST_MEASURED) return window;
  const longest = await longestSeconds(records, reader, window);
  return longest * stretchOf(augment) + SLACK_SECONDS;
}

/** How many times as long a clip may become: at a speed of 0.9 it is 1.11 times. */
function stretchOf(augment: readonly WaveAugmentation[]): number {
  const factors = augment.map((each) => (each.type === 'speed-perturbation' ? Math.min(1, ...each.factors) : 1));
  return 1 / factors.reduce((product, factor) => product * factor, 1);
}
