/**
 * @file How much of its window a model hears in training. Whisper pads every clip to 30 seconds, and computes the silence as
 * dearly as the speech; with clips of five seconds a step takes six times as long as it must.
 */

import { OnnxLoraError, type Tensor, type TensorData } from '@onnx-lora/sdk';
import type { FeatureExtractor } from './featureExtractor.ts';

/**
 * Seconds that are heard from the beginning of a clip: a number, or the whole window (`full`). By `auto` training hears as many
 * as the longest clip has at first and the whole window in the end, and transcription those that the adapter notes.
 */
export type ContextSeconds = number | 'auto' | 'full';

/** Windows are rounded up to these parts of the whole, seconds for Whisper, so that there are few different ones. */
export const UNITS = 30;
/** With less, the model has too little around the speech that looks like what it has been trained on. */
const LEAST_UNITS = 4;
/** Of a window of which more is heard, the rest is not worth leaving out. */
const MOST_UNITS = 20;

/**
 * The seconds that a model shall hear, at first by `auto`, of clips of which the longest has `longest`; undefined for the whole
 * window of `window` seconds.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a number that is not more than 0
 */
export function contextOf(context: ContextSeconds, longest: number, window: number): number | undefined {
  if (context === 'full') return undefined;
  if (context === 'auto') {
    const units = Math.max(LEAST_UNITS, Math.ceil((UNITS * longest) / window));
    return units <= MOST_UNITS ? (units * window) / UNITS : undefined;
  }
  if (!(context > 0))
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `contextSeconds is ${context}, but it must be more than 0, "auto" or "full".`,
    );
  return context < window ? context : undefined;
}

/** An extractor that gives the first frames of a window. */
export interface ShortExtractor extends FeatureExtractor {
  /** Frames that it gives. */
  readonly frames: number;
  /** Axis of its batches that they lie along. */
  readonly axis: number;
}

/**
 * The extractor of a model that hears the first `seconds` of its window: its features are those of the whole window, without
 * the frames that come later. Undefined where the features have no fixed window of frames.
 */
export function shortExtractor(extractor: FeatureExtractor, seconds: number): ShortExtractor | undefined {
  const { maxSamples, sampleRate } = extractor;
  const all = maxSamples === undefined ? undefined : extractor.soundIn?.(maxSamples);
  if (maxSamples === undefined || !all) return undefined;
  const { timeAxis } = all;
  const samples = Math.ceil(seconds * sampleRate);
  // Encoders take two frames at a time.
  const frames = Math.min(all.frames, 2 * Math.ceil((all.frames * samples) / maxSamples / 2));
  return {
    sampleRate,
    inputName: extractor.inputName,
    maxSamples: samples,
    frames,
    axis: timeAxis + 1,
    soundIn: (count) => ({ timeAxis, frames: Math.min(frames, extractor.soundIn!(count).frames) }),
    extract: (clip) => {
      if (clip.length > samples) throw tooLong(clip.length / sampleRate, seconds);
      return firstFrames(extractor.extract(clip), timeAxis, frames);
    },
    batch: (clips) => extractor.batch(clips),
    preprocess: async (file) => firstFrames(await extractor.preprocess(file), timeAxis, frames),
  };
}

function tooLong(lasts: number, heard: number): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `It lasts ${lasts.toFixed(1)} s, and training hears the first ${heard} s only: its transcript would have words that are not heard. Correct its duration in the data, or set contextSeconds to more, or to "full".`,
  );
}

/** `[mels, frames]` along axis 1, `[frames, mels]` along axis 0, with the first frames alone. */
export function firstFrames({ type, dims, data }: Tensor, timeAxis: 0 | 1, frames: number): Tensor {
  const [rows, columns] = dims as [number, number];
  if (timeAxis === 0) return { type, dims: [frames, columns], data: data.slice(0, frames * columns) as TensorData };
  const cut = data.slice(0, rows * frames) as Float32Array;
  for (let row = 0; row < rows; row++) {
    cut.set((data as Float32Array).subarray(row * columns, row * columns + frames), row * frames);
  }
  return { type, dims: [rows, frames], data: cut };
}
