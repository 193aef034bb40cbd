/** @file Transcribes with CTC models. */

import { type AdapterChoice, OnnxLoraError, type RowAdapter } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { bestPaths, CtcTokenizer, type RunnableModel, type RunnableSession } from '@onnx-lora/sdk/tasks';
import { type AudioReader, type AudioSource, monoStreamAt } from '../../audio/audio.ts';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';
import type {
  ClipOptions,
  Transcriber,
  TranscriberOptions,
  TranscribeOptions,
  Transcript,
  TranscriptSegment,
} from '../../generation/transcriber.ts';
import {
  type CtcPorts,
  ctcPorts,
  delimiterOf,
  type FramedWord,
  framedWords,
  frameScores,
  writtenIds,
} from './ctcPorts.ts';
import { ctcTokenizer } from './ctcWords.ts';
import { type FrameCount, frameCount, rowsAlike, audioFeeds } from '../audioFeeds.ts';
import { openAudio } from '../audioTask.ts';

interface WindowOptions {
  readonly length: number;
  /** Samples of context at either end, whose output is dropped. */
  readonly context: number;
}

interface AudioWindow {
  readonly samples: Float32Array;
  readonly start: number;
  readonly left: number;
  readonly right: number;
}

/**
 * Windows that tile a stream, apart from their context. @see transformers, `chunk_iter` of automatic-speech-recognition
 */
export async function* audioWindows(
  pieces: AsyncIterable<Float32Array>,
  { length, context }: WindowOptions,
): AsyncGenerator<AudioWindow> {
  const step = length - 2 * context;
  const held = new Float32Array(length + 1);
  let [count, start] = [0, 0];
  const isFirst = (): boolean => start === 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const taken = Math.min(held.length - count, piece.length - at);
      held.set(piece.subarray(at, at + taken), count);
      count += taken;
      at += taken;
      // More than a window is held, so this is not the last.
      if (count < held.length) continue;
      yield { samples: held.slice(0, length), start, left: isFirst() ? 0 : context, right: context };
      held.copyWithin(0, step, count);
      count -= step;
      start += step;
    }
  }
  if (count > 0) yield { samples: held.slice(0, count), start, left: isFirst() ? 0 : context, right: 0 };
}

/** Seconds of a window and of its context at either end, as in transformers' pipeline. */
const WINDOW_SECONDS = 30;
const CONTEXT_SECONDS = WINDOW_SECONDS / 6;

/**
 * Loads a CTC model with any number of adapters, each with its own vocabulary. Longer recordings are decoded in windows
 * of 30 s with 5 s of context at either end. `language` selects the vocabulary of a multilingual model such as MMS;
 * `beams`, `task` and `maxTokens` have no effect.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another model; `CONFIG_INVALID` without a feature extractor, and on
 *   requests without a vocabulary; others as `model.session`
 */
export async function openCtcTranscriber(model: RunnableModel, options: TranscriberOptions = {}): Promise<Transcriber> {
  const { reader = new AudioFileReader(), preprocessors, extractor, tokenizer, contextSeconds: _, ...load } = options;
  const ports = ctcPorts(model);
  const { adapters = {} } = load;
  const given = tokenizer instanceof CtcTokenizer ? tokenizer : undefined;
  const found = new Map<string, Promise<CtcTokenizer>>();
  const vocabulary = (name: string | null, language?: string): Promise<CtcTokenizer> => {
    if (name !== null && !Object.hasOwn(adapters, name)) throw noAdapter(name, Object.keys(adapters));
    const key = JSON.stringify([name, language]);
    const adapter = name === null ? undefined : adapters[name];
    const known = found.get(key) ?? (given ? Promise.resolve(given) : ctcTokenizer(model, ports, adapter, language));
    found.set(key, known);
    return known;
  };
  return new CtcTranscriber({
    ports,
    reader,
    extractor: extractor ?? (await openAudio(model, { reader, preprocessors })),
    session: await model.session(load),
    vocabulary,
    count: frameCount(model),
  });
}

function noAdapter(name: string, names: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `There is no adapter "${name}".${didYouMean(name, names)} There are ${names.join(', ') || 'none'}.`,
  );
}

interface Opened {
  readonly ports: CtcPorts;
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  readonly session: RunnableSession;
  /** The tokenizer of an adapter by name; null is the base. */
  readonly vocabulary: (adapter: string | null, language?: string) => Promise<CtcTokenizer>;
  readonly count: FrameCount | undefined;
}

interface Heard {
  readonly ids: readonly number[];
  readonly samplesPerFrame: number;
}

class CtcTranscriber implements Transcriber {
  readonly sampleRate: number;
  readonly #opened: Opened;

  constructor(opened: Opened) {
    this.#opened = opened;
    this.sampleRate = opened.extractor.sampleRate;
  }

  async transcribeClips(clips: readonly Float32Array[], options: ClipOptions = {}): Promise<Transcript[]> {
    const { adapter = null } = options;
    const own = clips.map((_, i) => (isEach(adapter) ? (adapter[i] ?? null) : adapter));
    const vocabularies = await Promise.all(own.map((each) => this.#vocabulary(each, options.language)));
    const heard = await this.#hear(clips, options);
    return heard.map((each, i) => this.#transcript(each, vocabularies[i]!, options));
  }

  async transcribe(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options: TranscribeOptions = {},
  ): Promise<Transcript> {
    const tokenizer = await this.#vocabulary(options.adapter ?? null, options.language);
    const tokens: number[] = [];
    const segments: TranscriptSegment[] = [];
    for await (const { ids, segment } of this.#pieces(source, tokenizer, options)) {
      tokens.push(...writtenIds(ids, tokenizer.blank));
      segments.push(segment);
    }
    const text = segments.map((each) => each.text).join(' ');
    const { timestamps = 'none' } = options;
    return { text, tokens, ...(timestamps === 'none' ? {} : { segments }) };
  }

  async *segments(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options: TranscribeOptions = {},
  ): AsyncGenerator<TranscriptSegment> {
    const tokenizer = await this.#vocabulary(options.adapter ?? null, options.language);
    for await (const { segment } of this.#pieces(source, tokenizer, options)) yield segment;
  }

  async release(): Promise<void> {
    await this.#opened.session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Whole words, once the next word has begun or the recording is over. */
  async *#pieces(
    source: AudioSource | AsyncIterable<Uint8Array>,
    tokenizer: CtcTokenizer,
    options: TranscribeOptions,
  ): AsyncGenerator<{ readonly ids: readonly number[]; readonly segment: TranscriptSegment }> {
    const { extractor, reader } = this.#opened;
    const rate = extractor.sampleRate;
    const cut = { length: WINDOW_SECONDS * rate, context: CONTEXT_SECONDS * rate };
    const delimiter = delimiterOf(tokenizer);
    // Frames of a word that may continue in the next window.
    let rest: readonly number[] = [];
    for await (const window of audioWindows(monoStreamAt(reader, source, rate), cut)) {
      const [heard] = await this.#hear([window.samples], options);
      const seconds = heard!.samplesPerFrame / rate;
      const start = (window.start + window.left) / rate - rest.length * seconds;
      const all = [...rest, ...middle(heard!.ids, window)];
      const isWhole = window.right === 0 || delimiter === undefined || all.length * seconds > WINDOW_SECONDS;
      const end = isWhole ? all.length : all.lastIndexOf(delimiter) + 1;
      const ids = all.slice(0, end);
      rest = all.slice(end);
      const words = framedWords(ids, tokenizer).map((word) => timed(word, start, seconds));
      if (words.length > 0) yield { ids, segment: segmentOf(words, options) };
    }
  }

  async #hear(clips: readonly Float32Array[], { adapter = null, signal }: ClipOptions): Promise<Heard[]> {
    const { extractor, ports, session, count } = this.#opened;
    // A clip shorter than one frame has no text.
    const isShort = (clip: Float32Array): boolean => clip.length === 0 || (count !== undefined && ports.input === 'input_values' && count(clip.length) < 1); // prettier-ignore
    const answers = clips.map((): Heard => ({ ids: [], samplesPerFrame: 0 }));
    const long = clips.flatMap((clip, i) => (isShort(clip) ? [] : [i]));
    const features = long.map((i) => extractor.extract(clips[i]!));
    for (const batch of rowsAlike(extractor, ports, features)) {
      const rows = batch.map((at) => long[at]!);
      const { feeds, lengths, padded } = audioFeeds(
        extractor,
        ports,
        batch.map((at) => features[at]!),
      );
      const own = isEach(adapter) ? rows.map((row) => adapter[row] ?? null) : adapter;
      const run = { adapter: own, fetches: ['logits'], ...(signal ? { signal } : {}) };
      const scores = frameScores(await session.run(feeds, run), 'logits');
      const frames = scores.dims[1]!;
      const sound = lengths.map((length) => (count ? count(length) : Math.ceil((length / padded) * frames)));
      for (const [i, ids] of bestPaths(scores, sound).entries()) {
        const row = rows[i]!;
        answers[row] = { ids, samplesPerFrame: clips[row]!.length / Math.max(1, ids.length) };
      }
    }
    return answers;
  }

  #transcript({ ids, samplesPerFrame }: Heard, tokenizer: CtcTokenizer, options: ClipOptions): Transcript {
    const seconds = samplesPerFrame / this.#opened.extractor.sampleRate;
    const words = framedWords(ids, tokenizer).map((word) => timed(word, 0, seconds));
    const text = words.map(({ word }) => word).join(' ');
    const tokens = writtenIds(ids, tokenizer.blank);
    const { timestamps = 'none' } = options;
    if (timestamps === 'none') return { text, tokens };
    return { text, tokens, segments: words.length === 0 ? [] : [segmentOf(words, options)] };
  }

  /** The vocabulary of an adapter, or the common one of a blend. */
  async #vocabulary(adapter: RowAdapter, language: string | undefined): Promise<CtcTokenizer> {
    const isBlend = typeof adapter === 'object' && adapter !== null && Object.keys(adapter).length > 0;
    const names = isBlend ? Object.keys(adapter) : [typeof adapter === 'string' ? adapter : null];
    const found = await Promise.all(names.map((name) => this.#opened.vocabulary(name, language)));
    const [first] = found;
    if (found.every(({ labels }) => labels.join('\n') === first!.labels.join('\n'))) return first!;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapters ${names.join(', ')} write in different vocabularies, so they cannot be blended.`,
    );
  }
}

function isEach(adapter: AdapterChoice): adapter is readonly RowAdapter[] {
  return Array.isArray(adapter);
}

/** A window's ids without its context. */
function middle(ids: readonly number[], { samples, left, right }: AudioWindow): readonly number[] {
  const frames = (count: number): number => Math.round((count / samples.length) * ids.length);
  return ids.slice(frames(left), ids.length - frames(right));
}

type TimedWord = NonNullable<TranscriptSegment['words']>[number];

/** @param offset seconds of the first frame */
function timed({ word, start, end }: FramedWord, offset: number, seconds: number): TimedWord {
  return { word, start: offset + start * seconds, end: offset + end * seconds };
}

function segmentOf(
  words: readonly TimedWord[],
  { timestamps }: Pick<TranscribeOptions, 'timestamps'>,
): TranscriptSegment {
  const text = words.map(({ word }) => word).join(' ');
  const segment = { start: words[0]!.start, end: words.at(-1)!.end, text };
  return timestamps === 'word' ? { ...segment, words } : segment;
}
