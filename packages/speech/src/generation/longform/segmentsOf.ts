/** @file Transcribes a recording of any length, window by window. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { type AudioSource, monoStreamAt } from '../../audio/audio.ts';
import { segmentWords } from '../alignment/spokenWords.ts';
import {
  fallbackOf,
  isSilent,
  promptTokens,
  type TranscriberParts,
  type WindowRequest,
  transcribeWindows,
  type WrittenWindow,
} from '../transcribeWindows.ts';
import { knownLanguage } from '../generationConfig.ts';
import type { TranscribeOptions, Transcript, TranscriptSegment } from '../transcriber.ts';
import { cutSegments, joinTexts, SlidingAudio } from './windows.ts';

const SECONDS = 0.1;

/** The middle of the quietest 0.1 s in the last third of the samples. */
export function quietPlace(samples: Float32Array, sampleRate: number): number {
  const size = Math.max(1, Math.round(SECONDS * sampleRate));
  const first = Math.floor((samples.length * 2) / 3);
  let [best, least] = [samples.length, Infinity];
  for (let start = first; start + size <= samples.length; start += size) {
    let energy = 0;
    for (let i = start; i < start + size; i++) energy += samples[i]! ** 2;
    // The last of equal ones, for long windows.
    if (energy > least) continue;
    least = energy;
    best = start + Math.floor(size / 2);
  }
  return best;
}

const STEPS = 50;
/** Window of a model without a fixed one. */
const WINDOW_SECONDS = 30;
/** From this temperature on, a text does not condition the next window. @see openai-whisper, whisper/transcribe.py */
const HOT = 0.5;

interface Piece {
  readonly segment: TranscriptSegment;
  readonly tokens: readonly number[];
}

type Source = AudioSource | AsyncIterable<Uint8Array>;

/** Streams the segments of a recording. @throws OnnxLoraError `INPUT_INVALID` for unsupported options */
export async function* segmentsOf(
  parts: TranscriberParts,
  source: Source,
  options: TranscribeOptions,
): AsyncGenerator<TranscriptSegment> {
  for await (const { segment } of pieces(parts, source, options)) if (segment.text !== '') yield segment;
}

/** The whole transcript. */
export async function transcriptOf(
  parts: TranscriberParts,
  source: Source,
  options: TranscribeOptions,
): Promise<Transcript> {
  const segments: TranscriptSegment[] = [];
  const tokens: number[] = [];
  let language: string | undefined;
  for await (const { segment, tokens: own } of pieces(parts, source, options)) {
    if (segment.text !== '') segments.push(segment);
    tokens.push(...own);
    language ??= segment.language;
  }
  return {
    text: joinTexts(segments.map(({ text }) => text), language),
    ...(language === undefined ? {} : { language }),
    ...(wantsTimes(options) ? { segments } : {}),
    tokens,
  }; // prettier-ignore
}

/** True if the request asks for times. */
export function wantsTimes({ timestamps = 'none' }: Pick<TranscribeOptions, 'timestamps'>): boolean {
  return timestamps !== 'none';
}

async function* pieces(parts: TranscriberParts, source: Source, options: TranscribeOptions): AsyncGenerator<Piece> {
  const listener = new Listener(parts, options);
  const sound = new SlidingAudio(monoStreamAt(parts.reader, source, parts.extractor.sampleRate));
  try {
    yield* listener.pieces(sound);
  } finally {
    await sound.close();
  }
}

class Listener {
  readonly #parts: TranscriberParts;
  readonly #options: TranscribeOptions;
  readonly #length: number;
  /** The token of 0.00 s, if the model writes times. */
  readonly #firstTime: number | undefined;
  readonly #request: Pick<WindowRequest, 'fallback' | 'random'>;
  #language: string | undefined;
  #previous: readonly number[];

  constructor(parts: TranscriberParts, options: TranscribeOptions) {
    const { extractor, engine } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#length = extractor.maxSamples ?? WINDOW_SECONDS * extractor.sampleRate;
    this.#request = { fallback: fallbackOf(options), random: new Random(options.seed ?? 0) };
    // Fails early on unsupported options.
    this.#language = options.language === undefined ? undefined : knownLanguage(engine.config, options.language);
    this.#previous = promptTokens(parts, options);
    const { noTimestamps, suppress } = engine.config;
    const firstTime = noTimestamps === undefined ? undefined : noTimestamps + 1;
    this.#firstTime = firstTime === undefined || suppress.includes(firstTime) ? undefined : firstTime;
    if (wantsTimes(options) && this.#firstTime === undefined) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        'The model writes no times, so it cannot say when something is said. Ask for no timestamps.',
      );
    }
  }

  /** Windows follow the written times, or cuts at quiet places. A single window gets no times by default. */
  async *pieces(sound: SlidingAudio): AsyncGenerator<Piece> {
    const firstTime = this.#firstTime;
    const { sampleRate } = this.#parts.extractor;
    const shortest = sampleRate / STEPS;
    for (let at = 0, isFirst = true; ; isFirst = false) {
      if (this.#options.signal?.aborted === true)
        throw new OnnxLoraError('CANCELLED', 'The transcription was cancelled by its signal.');
      const { samples, isLast } = await sound.window(at, this.#length);
      // A rest shorter than one time step is dropped.
      if (samples.length < shortest && !isFirst) return;
      const isTimed = firstTime !== undefined && (wantsTimes(this.#options) || !(isFirst && isLast));
      const heard = isTimed || isLast ? samples : samples.subarray(0, quietPlace(samples, sampleRate));
      if (isSilent(heard)) {
        at += heard.length;
        continue;
      }
      const written = await this.#write(heard, isTimed);
      const { found, next } = isTimed
        ? await this.#timed(written, at, heard.length, firstTime)
        : { found: [this.#piece(written, at, at + heard.length, written.tokens)], next: heard.length };
      if (!written.isSilence) yield* found;
      this.#remember(written, written.isSilence ? [] : found.flatMap(({ tokens }) => tokens));
      at += written.isSilence ? heard.length : next;
    }
  }

  async #write(samples: Float32Array, timestamps: boolean): Promise<WrittenWindow> {
    const own = this.#language === undefined ? this.#options : { ...this.#options, language: this.#language };
    const request = { ...this.#request, timestamps, previous: this.#previous };
    const [written] = await transcribeWindows(this.#parts, [samples], own, request);
    this.#language ??= written!.language;
    return written!;
  }

  /** The segments of a window, and its length in samples up to the next one. */
  async #timed(
    written: WrittenWindow,
    at: number,
    length: number,
    firstTime: number,
  ): Promise<{ readonly found: readonly Piece[]; readonly next: number }> {
    const step = this.#parts.extractor.sampleRate / STEPS;
    const steps = Math.floor(length / step);
    const { segments, next } = cutSegments(written.tokens, firstTime, steps);
    const found = segments.map(({ start, end, tokens }) => this.#piece(written, at + start * step, at + end * step, tokens)); // prettier-ignore
    return {
      found: this.#options.timestamps === 'word' ? await this.#withWords(found, written, at, steps) : found,
      next: next * step,
    };
  }

  async #withWords(found: readonly Piece[], written: WrittenWindow, at: number, steps: number): Promise<Piece[]> {
    const { aligner, extractor, tokenizer } = this.#parts;
    const ends = await aligner.times({ ...written, positions: steps }, this.#options);
    const times = ends.map((end) => at / extractor.sampleRate + end / STEPS);
    let place = 0;
    return found.map(({ tokens, segment }) => {
      const own = {
        tokens,
        times: times.slice(place, place + tokens.length),
        start: times[place - 1] ?? segment.start,
      };
      place += tokens.length;
      const words = segmentWords({ ...own, firstTime: this.#firstTime!, language: written.language }, tokenizer);
      return { tokens, segment: { ...segment, words } };
    });
  }

  /** @param start first sample */
  #piece({ language }: WrittenWindow, start: number, end: number, tokens: readonly number[]): Piece {
    const { sampleRate } = this.#parts.extractor;
    const text = this.#parts.tokenizer.decode(tokens).trim();
    const times = { start: start / sampleRate, end: end / sampleRate };
    return { tokens, segment: { ...times, text, ...(language === undefined ? {} : { language }) } };
  }

  #remember({ temperature }: WrittenWindow, tokens: readonly number[]): void {
    const { conditionOnPrevious = false } = this.#options;
    const isOfUse = conditionOnPrevious && temperature <= HOT;
    this.#previous = isOfUse ? [...this.#previous, ...tokens].slice(-this.#parts.engine.config.maxPositions) : [];
  }
}
