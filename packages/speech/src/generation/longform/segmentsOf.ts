/** @file A recording of any length, window by window. */

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
  writeWindows,
  type WrittenWindow,
} from '../writeWindows.ts';
import { knownLanguage } from '../prompt.ts';
import type { TranscribeOptions, Transcript, TranscriptSegment } from '../transcriber.ts';
import { cutSegments, joinTexts, SlidingAudio } from './windows.ts';

/** The quietest piece of this length is cut through, in the last third of the window. */
const SECONDS = 0.1;

/** The middle of the quietest tenth of a second in the last third of the samples. */
export function quietPlace(samples: Float32Array, sampleRate: number): number {
  const size = Math.max(1, Math.round(SECONDS * sampleRate));
  const first = Math.floor((samples.length * 2) / 3);
  let [best, least] = [samples.length, Infinity];
  for (let start = first; start + size <= samples.length; start += size) {
    let energy = 0;
    for (let i = start; i < start + size; i++) energy += samples[i]! ** 2;
    // The last of equal ones: windows are long.
    if (energy > least) continue;
    least = energy;
    best = start + Math.floor(size / 2);
  }
  return best;
}

/** Steps of Whisper's times in a second. */
const STEPS = 50;
/** What a model that hears any length is given at once. */
const WINDOW_SECONDS = 30;
/** From this temperature on a text is no help for the next window. @see openai-whisper, whisper/transcribe.py */
const HOT = 0.5;

/** A segment and what was written for it. */
interface Piece {
  readonly segment: TranscriptSegment;
  readonly tokens: readonly number[];
}

type Source = AudioSource | AsyncIterable<Uint8Array>;

/**
 * The segments of a recording in which something is said, as they are written.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for what the model cannot do; others as the reader and `session.run`
 */
export async function* segmentsOf(
  parts: TranscriberParts,
  source: Source,
  options: TranscribeOptions,
): AsyncGenerator<TranscriptSegment> {
  for await (const { segment } of pieces(parts, source, options)) if (segment.text !== '') yield segment;
}

/** The whole of it. */
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

/** Whether it was asked when something is said. */
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

/** Hears one recording. */
class Listener {
  readonly #parts: TranscriberParts;
  readonly #options: TranscribeOptions;
  /** Samples of a window. */
  readonly #length: number;
  /** The token of 0.00 s, of a model that writes times. */
  readonly #firstTime: number | undefined;
  readonly #request: Pick<WindowRequest, 'fallback' | 'random'>;
  /** What is spoken, as soon as it is known. */
  #language: string | undefined;
  /** What was said before. */
  #previous: readonly number[];

  constructor(parts: TranscriberParts, options: TranscribeOptions) {
    const { extractor, engine } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#length = extractor.maxSamples ?? WINDOW_SECONDS * extractor.sampleRate;
    this.#request = { fallback: fallbackOf(options), random: new Random(options.seed ?? 0) };
    // What cannot be asked for is found out before the work.
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

  /**
   * Windows follow each other at the times that were written; without times they end where it is quiet. What fits into one
   * window is heard at once, without times unless they are asked for.
   */
  async *pieces(sound: SlidingAudio): AsyncGenerator<Piece> {
    const firstTime = this.#firstTime;
    const { sampleRate } = this.#parts.extractor;
    const shortest = sampleRate / STEPS;
    for (let at = 0, isFirst = true; ; isFirst = false) {
      if (this.#options.signal?.aborted === true)
        throw new OnnxLoraError('CANCELLED', 'The transcription was cancelled by its signal.');
      const { samples, isLast } = await sound.window(at, this.#length);
      // Less than a step of the times is too short to be heard.
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
    const [written] = await writeWindows(this.#parts, [samples], own, request);
    this.#language ??= written!.language;
    return written!;
  }

  /** The segments of a window, and the samples after which the next one begins. */
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

  /** @param start sample with which it begins */
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
