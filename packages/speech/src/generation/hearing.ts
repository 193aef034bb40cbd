/** @file How much of its window a model hears of each clip: as much as the adapter noted that it has learned with. */

import { isDeepStrictEqual } from 'node:util';
import type { Adapter, RowAdapter } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { AdapterNotes } from '@onnx-lora/sdk/plugin';
import {
  type ContextSeconds,
  contextOf,
  shortExtractor,
  type ShortExtractor,
  UNITS,
} from '../features/audioContext.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';

/** Sizes of a model's inputs, smaller than the graph's. */
export type HeardSizes = NonNullable<AdapterNotes['inputSizes']>;

/** What is heard of some clips. */
export interface Heard {
  readonly extractor: FeatureExtractor;
  /** The inputs' sizes where little of the silence is heard; absent for all of it. */
  readonly sizes?: HeardSizes;
}

/** What decides about it. */
export interface HearingRequest {
  readonly model: RunnableModel;
  readonly extractor: FeatureExtractor;
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** A number of seconds or `full` holds for all clips; `auto` is what each adapter has learned with. */
  readonly context: ContextSeconds;
}

/** Says what is heard of a clip. */
export class Hearing {
  readonly #whole: Heard;
  /** By adapter, the short window that it has learned with. */
  readonly #learned = new Map<string, ShortExtractor>();
  /** Of the base, or of all where it was asked for. */
  readonly #base: ShortExtractor | undefined;
  readonly #isAsked: boolean;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number of seconds that cannot be */
  constructor({ model, extractor, adapters, context }: HearingRequest) {
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

  /**
   * What is heard of a clip of so many samples: the short window that the adapter, or each of a blend, has learned with, where
   * the clip fits into it; else the whole, with which every adapter writes.
   */
  of(adapter: RowAdapter, samples: number): Heard {
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

/**
 * The extractor for the sizes that an adapter notes; undefined where it says nothing of this model's window. It is rounded up:
 * each window takes a session of its own, and adapters may come from anywhere.
 */
function learnedWith(extractor: FeatureExtractor, sizes: HeardSizes | undefined): ShortExtractor | undefined {
  const { maxSamples, sampleRate, inputName } = extractor;
  const all = maxSamples === undefined ? undefined : extractor.soundIn?.(maxSamples);
  const noted = all && sizes?.[inputName]?.[all.timeAxis + 1];
  const [frames, standsFor] = typeof noted === 'object' ? [noted.first - noted.last] : [noted, Infinity];
  if (frames === undefined || maxSamples === undefined || frames >= all!.frames) return undefined;
  const units = Math.ceil((UNITS * frames) / all!.frames);
  return units < UNITS ? shortExtractor(extractor, (units / UNITS) * (maxSamples / sampleRate), standsFor) : undefined;
}
