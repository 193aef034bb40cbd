/** @file The audio context in training, from the durations of the recordings. */

import { type InputSizes, OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { AudioReader } from '../../audio/audio.ts';
import type { WaveAugmentation } from '../../augment/augmentWave.ts';
import { longestSeconds, statedSeconds } from '../../data/clipLengths.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import { type ContextSeconds, contextOf, shortExtractor } from '../../features/audioContext.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';

export interface TrainingContext {
  readonly extractor: FeatureExtractor;
  /** The inputs' sizes, if smaller than the graph's. */
  readonly inputSizes?: InputSizes;
}

export interface TrainingContextRequest {
  readonly model: TaskModel;
  readonly records: readonly SpeechRecord[];
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  readonly context: ContextSeconds;
  /** Augmentations, which may lengthen clips. */
  readonly augment: readonly WaveAugmentation[];
}

/** Most recordings of unknown duration that are measured; with more, the whole window is used. */
const MOST_MEASURED = 2000;
const SLACK_SECONDS = 0.05;

/** The extractor for training; `auto` covers the longest recording. @throws OnnxLoraError `CONFIG_INVALID` */
export async function trainingContext(request: TrainingContextRequest): Promise<TrainingContext> {
  const { model, extractor, context } = request;
  const { maxSamples, sampleRate, inputName } = extractor;
  if (maxSamples === undefined) return { extractor };
  const window = maxSamples / sampleRate;
  const longest = context === 'auto' ? await longestOf(request, window) : window;
  const seconds = contextOf(context, longest, window);
  const short = seconds === undefined ? undefined : shortExtractor(extractor, seconds);
  // A graph with a dynamic length does not say which lengths it takes.
  if (!short || typeof model.inputs[inputName]?.dims?.[short.axis] !== 'number') return { extractor };
  const { sizes: inputSizes } = short;
  // An error only for explicit requests.
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

/** Duration of the longest recording, or the whole window if measuring takes too long. */
async function longestOf({ records, reader, augment }: TrainingContextRequest, window: number): Promise<number> {
  const unknown = records.filter((record) => statedSeconds(record) === undefined);
  if (unknown.length > MOST_MEASURED) return window;
  const longest = await longestSeconds(records, reader, window);
  return longest * stretchOf(augment) + SLACK_SECONDS;
}

/** The largest stretch of a clip: a speed of 0.9 gives 1.11. */
function stretchOf(augment: readonly WaveAugmentation[]): number {
  const factors = augment.map((each) => (each.type === 'speed-perturbation' ? Math.min(1, ...each.factors) : 1));
  return 1 / factors.reduce((product, factor) => product * factor, 1);
}
