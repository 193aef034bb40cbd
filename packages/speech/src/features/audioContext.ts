/** @file The audio context: the seconds of its window that a model encodes, to skip most silence after a clip. */

import { type InputSizes, OnnxLoraError, type Tensor, type Adapter, type RowAdapter } from '@onnx-lora/sdk';
import type { AdapterNotes } from '@onnx-lora/sdk/plugin';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { isDeepStrictEqual } from 'node:util';
import type { FeatureExtractor } from './featureExtractor.ts';

/**
 * @file The audio context: the seconds of its window that a model encodes, to skip most of the silence after a clip.
 */

/**
 * Audio context: seconds from the beginning of a clip, plus some silence; or the whole window (`full`). With `auto`,
 * training takes the longest clip's duration, and transcription what the adapter notes.
 */
export type ContextSeconds = number | 'auto' | 'full';

/** Contexts are rounded up to these fractions of the window (Whisper's seconds), so that few different ones occur. */
const UNITS = 30;
/** Least context; below it, the input differs too much from the training data. */
const LEAST_UNITS = 4;
/** Above this context, the whole window is used. */
const MOST_UNITS = 20;

/** The context for clips up to `longest`; undefined for the whole window. @throws OnnxLoraError `CONFIG_INVALID` */
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

/** An extractor that keeps the first frames of a window and some silence after them. */
export interface ShortExtractor extends FeatureExtractor {
  /** The resulting sizes of the model's inputs. */
  readonly sizes: InputSizes;
  /** The time axis of {@link ShortExtractor.sizes}. */
  readonly axis: number;
  readonly maxSamples: number;
}

/** Most silent frames that one kept frame stands for, except next to speech and at the end. */
const STANDS_FOR = 4;

/** The extractor for the first `seconds`, with one silent frame in `standsFor` after them; needs a fixed window. */
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
  // Encoders take frames in pairs.
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

/** Selects the first and last frames, in `[mels, frames]` along axis 1 or `[frames, mels]` along axis 0. */
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

export type ContextSizes = NonNullable<AdapterNotes['inputSizes']>;

export interface SelectedContext {
  readonly extractor: FeatureExtractor;
  readonly sizes?: ContextSizes;
}

export interface ContextRequest {
  readonly model: RunnableModel;
  readonly extractor: FeatureExtractor;
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** Seconds or `full` hold for all clips; `auto` is each adapter's. */
  readonly context: ContextSeconds;
}

/** Chooses the audio context of a clip. */
export class ContextSelector {
  readonly #whole: SelectedContext;
  /** The short extractor by adapter. */
  readonly #learned = new Map<string, ShortExtractor>();
  /** The base's, or everyone's if the context is fixed. */
  readonly #base: ShortExtractor | undefined;
  readonly #isAsked: boolean;

  /** @throws OnnxLoraError `CONFIG_INVALID` for an invalid number of seconds */
  constructor({ model, extractor, adapters, context }: ContextRequest) {
    const { maxSamples, sampleRate } = extractor;
    this.#whole = { extractor };
    this.#isAsked = context !== 'auto';
    if (this.#isAsked) {
      const window = maxSamples === undefined ? Infinity : maxSamples / sampleRate;
      const seconds = contextOf(context, window, window);
      this.#base = seconds === undefined ? undefined : shortExtractor(extractor, seconds);
      return;
    }
    this.#base = learnedWith(extractor, model.trainedSizes);
    for (const [name, { notes }] of Object.entries(adapters)) {
      const short = learnedWith(extractor, notes.inputSizes);
      if (short) this.#learned.set(name, short);
    }
  }

  /** The context for a clip: each adapter's if the clip fits, else the whole window, which always works. */
  of(adapter: RowAdapter, samples: number): SelectedContext {
    const short = this.#shortOf(adapter);
    if (!short || samples > short.maxSamples) return this.#whole;
    return { extractor: short, sizes: short.sizes };
  }

  #shortOf(adapter: RowAdapter): ShortExtractor | undefined {
    if (this.#isAsked || adapter === null) return this.#base;
    const names = typeof adapter === 'string' ? [adapter] : Object.keys(adapter);
    const [first, ...others] = names.map((name) => this.#learned.get(name));
    return others.every((each) => isDeepStrictEqual(each?.sizes, first?.sizes)) ? first : undefined;
  }
}

/** The extractor for noted sizes that fit this model; rounded up, since each context takes a session. */
function learnedWith(extractor: FeatureExtractor, sizes: ContextSizes | undefined): ShortExtractor | undefined {
  const { maxSamples, sampleRate, inputName } = extractor;
  const all = maxSamples === undefined ? undefined : extractor.soundIn?.(maxSamples);
  const noted = all && sizes?.[inputName]?.[all.timeAxis + 1];
  const [frames, standsFor] = typeof noted === 'object' ? [noted.first - noted.last] : [noted, Infinity];
  if (frames === undefined || maxSamples === undefined || frames >= all!.frames) return undefined;
  const units = Math.ceil((UNITS * frames) / all!.frames);
  return units < UNITS ? shortExtractor(extractor, (units / UNITS) * (maxSamples / sampleRate), standsFor) : undefined;
}
