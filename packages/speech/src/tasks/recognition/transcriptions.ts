/** @file Transcripts of the evaluation set, cached per adapter. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { MeasureRequest } from '@onnx-lora/sdk/tasks';
import { type AudioReader, monoAt } from '../../audio/audio.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import type { ContextSeconds } from '../../features/audioContext.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';
import { openTranscriber } from '../../generation/openTranscriber.ts';
import type { Transcriber } from '../../generation/transcriber.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';
import type { TranscriptOptions } from './transcriptLabels.ts';

export interface TranscriptionParts extends TranscriptOptions {
  readonly records: readonly SpeechRecord[];
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  readonly tokenizer: SpeechTokenizer;
  /** The context with an adapter; `auto` is what it notes. */
  readonly context: ContextSeconds;
  /** True if the model gets a language token. */
  readonly isMultilingual: boolean;
}

/** The relevant parts of a {@link MeasureRequest}. */
export type TranscriptionRequest = Pick<
  MeasureRequest,
  'model' | 'adapter' | 'options' | 'batchSize' | 'limit' | 'examples' | 'onBadSample' | 'onBatch'
>;

/** Larger batches are no faster, and a clip takes tens of megabytes. */
const MOST_AT_ONCE = 16;
const ADAPTER = 'adapter';

/** Transcripts of the same recordings, made once per adapter. */
export class Transcriptions {
  readonly #parts: TranscriptionParts;
  readonly #base: (string | undefined)[] = [];
  readonly #adapted = new WeakMap<Adapter, (string | undefined)[]>();

  constructor(parts: TranscriptionParts) {
    this.#parts = parts;
  }

  /**
   * Texts of the first `limit` records, or of the indices in `examples`; undefined for unreadable or other records.
   * @throws OnnxLoraError as `openTranscriber`; `DATA_INVALID` for an unreadable recording, unless `onBadSample`
   *   handles it
   */
  async of(request: TranscriptionRequest): Promise<readonly (string | undefined)[]> {
    const { model, adapter, options, limit = Infinity, examples } = request;
    const { records, reader, extractor, tokenizer, context } = this.#parts;
    const known = this.#knownFor(adapter);
    const wanted = new Set(examples ?? Array.from({ length: Math.min(records.length, limit) }, (_, i) => i));
    const missing = this.#inOrder([...wanted]).filter((index) => !(index in known));
    if (missing.length > 0) {
      const adapters = adapter ? { [ADAPTER]: adapter } : {};
      // The base is compared with its whole window.
      const contextSeconds = adapter ? context : 'auto';
      const own = { reader, extractor, tokenizer, contextSeconds };
      const transcriber = await openTranscriber(model, { ...options, adapters, ...own });
      try {
        await this.#fill(known, missing, transcriber, request, wanted.size);
      } finally {
        await transcriber.release();
      }
    }
    return Array.from({ length: Math.max(0, ...[...wanted].map((i) => i + 1)) }, (_, i) => (wanted.has(i) ? known[i] : undefined)); // prettier-ignore
  }

  #knownFor(adapter: Adapter | undefined): (string | undefined)[] {
    if (!adapter) return this.#base;
    const known = this.#adapted.get(adapter) ?? [];
    this.#adapted.set(adapter, known);
    return known;
  }

  async #fill(
    known: (string | undefined)[],
    missing: readonly number[],
    transcriber: Transcriber,
    { adapter, batchSize, onBadSample, onBatch }: TranscriptionRequest,
    total: number,
  ): Promise<void> {
    const batches = this.#batches(missing, Math.min(batchSize, MOST_AT_ONCE));
    let done = total - missing.length;
    let upcoming = batches[0] && settled(this.#load(batches[0], onBadSample));
    for (const [i, batch] of batches.entries()) {
      const clips = (await upcoming)!();
      const next = batches[i + 1];
      upcoming = next && settled(this.#load(next, onBadSample));
      const heard = [...clips.keys()];
      const language = this.#languageOf(batch[0]!);
      const { task } = this.#parts;
      const texts = await transcriber.transcribeClips([...clips.values()], {
        adapter: adapter ? ADAPTER : null,
        ...(language === undefined ? {} : { language }),
        ...(task === undefined ? {} : { task }),
      });
      for (const index of batch) known[index] = undefined;
      for (const [row, { text }] of texts.entries()) known[heard[row]!] = text;
      done += batch.length;
      onBatch?.(done, total);
    }
  }

  /** Sorts by language and length, since a batch is decoded until its longest text ends. */
  #inOrder(indices: number[]): number[] {
    const key = (index: number): string => this.#languageOf(index) ?? '';
    const length = (index: number): number => this.#parts.records[index]!.text?.length ?? 0;
    return indices.sort((a, b) => key(a).localeCompare(key(b), 'en') || length(a) - length(b) || a - b);
  }

  #batches(indices: readonly number[], size: number): number[][] {
    const batches: number[][] = [];
    for (const index of indices) {
      const last = batches.at(-1);
      if (last && last.length < size && this.#languageOf(last[0]!) === this.#languageOf(index)) last.push(index);
      else batches.push([index]);
    }
    return batches;
  }

  #languageOf(index: number): string | undefined {
    const { records, language, isMultilingual } = this.#parts;
    return isMultilingual ? (records[index]!.language ?? language) : undefined;
  }

  async #load(
    batch: readonly number[],
    onBadSample: TranscriptionRequest['onBadSample'],
  ): Promise<ReadonlyMap<number, Float32Array>> {
    const clips = new Map<number, Float32Array>();
    for (const index of batch) {
      try {
        clips.set(index, this.#checked(index, await this.samplesOf(index)));
      } catch (error) {
        if (!onBadSample) throw error;
        onBadSample(index, error);
      }
    }
    return clips;
  }

  #checked(index: number, samples: Float32Array): Float32Array {
    const { records, extractor } = this.#parts;
    const { maxSamples = Infinity, sampleRate } = extractor;
    if (samples.length <= maxSamples) return samples;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${records[index]!.where}: it lasts ${(samples.length / sampleRate).toFixed(1)} s, and the model hears ${maxSamples / sampleRate} s at once. Cut it into utterances, or leave such recordings out (maxSeconds: ${maxSamples / sampleRate}).`,
    );
  }

  async samplesOf(index: number): Promise<Float32Array> {
    const { records, reader, extractor } = this.#parts;
    const { audio, span, where } = records[index]!;
    try {
      return await monoAt(reader, audio, extractor.sampleRate, span);
    } catch (cause) {
      if (!(cause instanceof OnnxLoraError) || cause.message.includes(where)) throw cause;
      throw new OnnxLoraError(cause.code, `${where}: ${cause.message}`, { cause });
    }
  }
}

/** Defers the error of prefetched work until it is requested. */
function settled<Value>(promise: Promise<Value>): Promise<() => Value> {
  return promise.then(
    (value) => () => value,
    (error: unknown) => () => {
      throw error;
    },
  );
}
