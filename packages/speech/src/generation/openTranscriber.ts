/** @file Opens transcribers, and transcribes with encoder-decoder models. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { adapterOf, adaptersOf, requireEach } from '@onnx-lora/sequences';
import type { AudioSource } from '../audio/audio.ts';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { openExtractor } from '../features/featureExtractor.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { isCtc } from '../tasks/ctc/ctcPorts.ts';
import { openCtcTranscriber } from '../tasks/ctc/ctcTranscriber.ts';
import { openSpeechTokenizer, tokenizerFolder } from '../text/openSpeechTokenizer.ts';
import { Aligner } from './alignment/aligner.ts';
import { servingParts } from './encoderAndDecoder.ts';
import { readGenerationConfig } from './generationConfig.ts';
import { ContextSelector } from '../features/audioContext.ts';
import { segmentsOf, transcriptOf, wantsTimes } from './longform/segmentsOf.ts';
import { SpeechEngine } from './speechEngine.ts';
import type {
  Transcriber,
  TranscriberOptions,
  ClipOptions,
  HeardLanguage,
  TranscribeOptions,
  Transcript,
  TranscriptSegment,
} from './transcriber.ts';
import {
  fallbackOf,
  groupedByContext,
  isSilent,
  promptTokens,
  type TranscriberParts,
  transcribeWindows,
} from './transcribeWindows.ts';

/**
 * Opens a speech recognition model with any number of adapters: an encoder-decoder such as Whisper, or a CTC model such
 * as wav2vec2.
 * @example
 * ```ts
 * const transcriber = await openTranscriber(model, { adapters: { spanish } });
 * const { text } = await transcriber.transcribe('call.wav', { adapter: 'spanish' });
 * await transcriber.release();
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another model, or missing encoder or decoder; `CONFIG_INVALID` for a
 *   folder without tokenizer or feature extractor; others as `model.session`
 */
export async function openTranscriber(model: RunnableModel, options: TranscriberOptions = {}): Promise<Transcriber> {
  return isCtc(model) ? openCtcTranscriber(model, options) : openWriter(model, options);
}

async function openWriter(
  model: RunnableModel,
  {
    reader = new AudioFileReader(),
    preprocessors = [new FeatureExtractorFactory(reader)],
    extractor,
    tokenizer,
    contextSeconds = 'auto',
    ...load
  }: TranscriberOptions,
): Promise<Transcriber> {
  // Reports an unsupported model before missing files.
  servingParts(model);
  const words = tokenizer ?? (await openSpeechTokenizer(tokenizerFolder(model)));
  const config = await readGenerationConfig(model, words);
  const features = extractor ?? (await openExtractor(model, preprocessors));
  const { adapters = {} } = load;
  const hearing = new ContextSelector({ model, extractor: features, adapters, context: contextSeconds });
  const engine = await SpeechEngine.open(model, config, load);
  const aligner = new Aligner(model, config, load);
  return new EncoderDecoderTranscriber({ engine, tokenizer: words, extractor: features, hearing, reader, aligner });
}

/** Transcribes with a {@link SpeechEngine}. */
class EncoderDecoderTranscriber implements Transcriber {
  readonly sampleRate: number;
  readonly maxSamples?: number;
  readonly #parts: TranscriberParts;

  constructor(parts: TranscriberParts) {
    this.#parts = parts;
    const { sampleRate, maxSamples } = parts.extractor;
    this.sampleRate = sampleRate;
    if (maxSamples !== undefined) this.maxSamples = maxSamples;
  }

  async transcribeClips(clips: readonly Float32Array[], options: ClipOptions = {}): Promise<Transcript[]> {
    if (clips.length === 0) return [];
    this.#checkLengths(clips);
    const { tokenizer, extractor } = this.#parts;
    const { sampleRate } = extractor;
    if (wantsTimes(options)) {
      const texts: Transcript[] = [];
      requireEach(options.adapter ?? null, clips.length, 'clips');
      for (const [i, clip] of clips.entries()) {
        const adapter = adapterOf(options.adapter ?? null, i);
        texts.push(await this.transcribe({ sampleRate, channels: [clip] }, { temperatures: [0], ...options, adapter }));
      }
      return texts;
    }
    const fallback = options.temperatures ? fallbackOf(options) : undefined;
    const random = new Random(options.seed ?? 0);
    const request = { timestamps: false, previous: promptTokens(this.#parts, options), fallback, random };
    requireEach(options.adapter ?? null, clips.length, 'clips');
    const rows = clips.flatMap((clip, row) => (isSilent(clip) ? [] : [row]));
    const adapter = adaptersOf(options.adapter ?? null, rows);
    const heard = rows.map((row) => clips[row]!);
    const texts =
      rows.length === 0 ? [] : await transcribeWindows(this.#parts, heard, { ...options, adapter }, request);
    return clips.map((_, row): Transcript => {
      const { tokens, language, isSilence } = texts[rows.indexOf(row)] ?? { tokens: [], isSilence: true };
      const known = language === undefined ? {} : { language };
      return isSilence
        ? { text: '', tokens: [], ...known }
        : { text: tokenizer.decode(tokens).trim(), tokens, ...known };
    });
  }

  transcribe(source: AudioSource | AsyncIterable<Uint8Array>, options: TranscribeOptions = {}): Promise<Transcript> {
    return transcriptOf(this.#parts, source, options);
  }

  segments(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options: TranscribeOptions = {},
  ): AsyncIterable<TranscriptSegment> {
    return segmentsOf(this.#parts, source, options);
  }

  async detectLanguages(
    clips: readonly Float32Array[],
    options: Pick<ClipOptions, 'adapter' | 'signal'> = {},
  ): Promise<HeardLanguage[]> {
    if (clips.length === 0) return [];
    this.#checkLengths(clips);
    const found: HeardLanguage[] = [];
    for (const { rows, heard } of groupedByContext(this.#parts, clips, options.adapter ?? null)) {
      const { extractor, sizes } = heard;
      const own = { ...options, adapter: adaptersOf(options.adapter ?? null, rows) };
      const engine = await this.#parts.engine.hearing(sizes);
      const features = extractor.batch(rows.map((row) => extractor.extract(clips[row]!)));
      const languages = await engine.languages(await engine.encode(features, own), own);
      rows.forEach((row, i) => (found[row] = languages[i]!));
    }
    return found;
  }

  async release(): Promise<void> {
    await Promise.all([this.#parts.engine.release(), this.#parts.aligner.release()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #checkLengths(clips: readonly Float32Array[]): void {
    const { maxSamples = Infinity, sampleRate } = this;
    const long = clips.findIndex(({ length }) => length > maxSamples);
    if (long < 0) return;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Clip ${long} has ${(clips[long]!.length / sampleRate).toFixed(1)} s, and the model hears ${maxSamples / sampleRate} s at once. Use transcribe, which continues from window to window.`,
    );
  }
}
