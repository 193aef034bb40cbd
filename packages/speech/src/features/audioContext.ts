/**
 * @file How much of its window a model hears. Whisper pads every clip to 30 seconds, and computes the silence as dearly as the
 * speech; with clips of five seconds a step takes six times as long as it must. Without the silence it does not find the end of
 * what it writes, but a little of it may stand for the rest.
 */

import { type InputSizes, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { FeatureExtractor } from './featureExtractor.ts';

/**
 * Seconds that are heard from the beginning of a clip, with a little of the silence behind them: a number, or the whole window
 * (`full`). By `auto` training hears as many as the longest clip has, and transcription those that the adapter notes.
 */
export type ContextSeconds = number | 'auto' | 'full';

/** Windows are rounded up to these parts of the whole, seconds for Whisper, so that there are few different ones. */
export const UNITS = 30;
/** With less, the model has too little around the speech that looks like what it has been trained on. */
const LEAST_UNITS = 4;
/** Of a window of which more is heard, the rest is not worth leaving out. */
const MOST_UNITS = 20;

/**
 * The seconds that a model shall hear of clips of which the longest has `longest`; undefined for the whole
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

/** An extractor that gives the first frames of a window, and some of the silence behind them. */
export interface ShortExtractor extends FeatureExtractor {
  /** The sizes that a model's inputs have by it. */
  readonly sizes: InputSizes;
  /** The axis of {@link ShortExtractor.sizes}, along which frames lie. */
  readonly axis: number;
  readonly maxSamples: number;
}

/** How many frames of silence one stands for, at most, but for those next to speech and at the end of the window. */
const STANDS_FOR = 4;

/**
 * The extractor of a model that hears the first `seconds` of its window, and of the silence behind them one frame in
 * `standsFor`, or none where that is infinite. Undefined where the features have no fixed window of frames.
 */
export function shortExtractor(
  extractor: FeatureExtractor,
  seconds: number,
  standsFor: number = STANDS_FOR,
): ShortExtractor | undefined {
  const { maxSamples, sampleRate, inputName } = extractor;
  const all = maxSamples === undefined ? undefined : extractor.soundIn?.(maxSamples);
  if (maxSamples === undefined || !all) return undefined;
  const { timeAxis } = all;
  const samples = Math.ceil(seconds * sampleRate);
  // Encoders take two frames at a time.
  const even = (frames: number): number => 2 * Math.ceil(frames / 2);
  const last = standsFor === Infinity ? 0 : even(all.frames / UNITS / 2);
  const first = even((all.frames * samples) / maxSamples) + last;
  const spread = even((all.frames - first - last) / standsFor);
  if (first + spread + last >= all.frames) return undefined;
  const cut = (features: Tensor): Tensor => endsOf(features, timeAxis, first, spread + last);
  return {
    sampleRate,
    inputName,
    maxSamples: samples,
    axis: timeAxis + 1,
    sizes: { [inputName]: { [timeAxis + 1]: last > 0 ? { first, spread, last } : first } },
    soundIn: (count) => ({ timeAxis, frames: Math.min(first, extractor.soundIn!(count).frames) }),
    extract: (clip) => {
      if (clip.length > samples) throw tooLong(clip.length / sampleRate, seconds);
      return cut(extractor.extract(clip));
    },
    batch: (clips) => extractor.batch(clips),
    preprocess: async (file) => cut(await extractor.preprocess(file)),
  };
}

function tooLong(lasts: number, heard: number): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `It lasts ${lasts.toFixed(1)} s, and training hears the first ${heard} s only: its transcript would have words that are not heard. Correct its duration in the data, or set contextSeconds to more, or to "full".`,
  );
}

/** `[mels, frames]` along axis 1, `[frames, mels]` along axis 0, with its first and its last frames alone. */
function endsOf({ type, dims, data }: Tensor, timeAxis: 0 | 1, first: number, last: number): Tensor {
  const [rows, columns] = dims as [number, number];
  const [count, each, stride, parts] = timeAxis === 0 ? [rows, columns, 0, 1] : [columns, 1, columns, rows];
  const frames = first + last;
  const cut = new Float32Array(parts * frames * each);
  for (let part = 0; part < parts; part++) {
    const values = (data as Float32Array).subarray(part * stride, part * stride + count * each);
    cut.set(values.subarray(0, first * each), part * frames * each);
    cut.set(values.subarray((count - last) * each), (part * frames + first) * each);
  }
  return { type, dims: timeAxis === 0 ? [frames, columns] : [rows, frames], data: cut };
}
