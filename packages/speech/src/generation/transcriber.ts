/** @file The transcriber's interface and options. */

import type { AdapterChoice, RowAdapter } from '@onnx-lora/sdk';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { AudioReader, AudioSource } from '../audio/audio.ts';
import type { ContextSeconds } from '../features/audioContext.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** Options of one request. */
export interface TranscribeOptions {
  /** The adapter's name, or a blend; null or absent is the base. */
  readonly adapter?: RowAdapter;
  /** `en`, `english` …; detected if absent in a multilingual model. */
  readonly language?: string;
  /** `transcribe` (the default) keeps the language, `translate` writes English. */
  readonly task?: 'transcribe' | 'translate';
  /** Times in seconds: of each `segment`, or of each `word` if the graph has its cross-attention. */
  readonly timestamps?: 'none' | 'segment' | 'word';
  /** Beam width; 1 is greedy. */
  readonly beams?: number;
  /** Most tokens per window. */
  readonly maxTokens?: number;
  /** Previous text, or likely words, whose spelling is adopted. */
  readonly prompt?: string;
  /**
   * Conditions each window on the text before it. Text flows better, but errors may persist. False by default, as in
   * transformers, since adapters are trained on separate clips.
   */
  readonly conditionOnPrevious?: boolean;
  /** Temperatures, tried in order until a text passes the checks; 0, 0.2 … 1 by default for recordings, 0 for clips. */
  readonly temperatures?: readonly number[];
  /** A text with a higher compression ratio repeats itself and fails; 2.4 by default. */
  readonly compressionRatioThreshold?: number;
  /** A text with a lower mean log-probability per token fails; −1 by default. */
  readonly logprobThreshold?: number;
  /** A text that fails by log-probability, with a higher no-speech probability, is silence; 0.6 by default. */
  readonly noSpeechThreshold?: number;
  /** Seed of sampling above temperature 0; 0 by default. */
  readonly seed?: number;
  /** Cancels the request. */
  readonly signal?: AbortSignal;
}

/** Options of a batch of clips. */
export interface ClipOptions extends Omit<TranscribeOptions, 'adapter'> {
  /** One adapter for all clips, or one per clip. */
  readonly adapter?: AdapterChoice;
}

/** A segment of a transcript. */
export interface TranscriptSegment {
  /** Seconds from the recording's beginning. */
  readonly start: number;
  /** Seconds from the recording's beginning. */
  readonly end: number;
  /** Its text. */
  readonly text: string;
  /** Words with times, if requested. */
  readonly words?: readonly SpokenWord[];
  /** ISO 639-1 code, for multilingual models. */
  readonly language?: string;
}

/** A word with its times. */
export interface SpokenWord {
  /** With its punctuation. */
  readonly word: string;
  /** Seconds from the recording's beginning. */
  readonly start: number;
  /** Seconds from the recording's beginning. */
  readonly end: number;
}

/** A transcript. */
export interface Transcript {
  /** The whole text. */
  readonly text: string;
  /** ISO 639-1 code, for multilingual models. */
  readonly language?: string;
  /** Segments with times, if requested. */
  readonly segments?: readonly TranscriptSegment[];
  /** Token ids, without prompt and end. */
  readonly tokens: readonly number[];
}

/** A detected language. */
export interface HeardLanguage {
  /** Its code: `en`. */
  readonly language: string;
  /** Probability among the model's languages. */
  readonly probability: number;
}

/** A loaded model with adapters that transcribes. */
export interface Transcriber extends AsyncDisposable {
  /** Sample rate in Hz of {@link Transcriber.transcribeClips}. */
  readonly sampleRate: number;
  /** Most samples of a clip: one window, 30 s for Whisper. Absent without a limit. */
  readonly maxSamples?: number;
  /**
   * Transcribes clips of at most one window (30 s for Whisper) as a batch. Texts do not depend on the other clips.
   * @param clips mono samples `[samples]` at {@link Transcriber.sampleRate}
   */
  transcribeClips(clips: readonly Float32Array[], options?: ClipOptions): Promise<Transcript[]>;
  /** Transcribes a recording of any length, window by window. */
  transcribe(source: AudioSource | AsyncIterable<Uint8Array>, options?: TranscribeOptions): Promise<Transcript>;
  /** Transcribes segment by segment, with constant memory. */
  segments(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options?: TranscribeOptions,
  ): AsyncIterable<TranscriptSegment>;
  /**
   * Detects the languages of clips of at most one window. Absent if the model has no language tokens, such as CTC
   * models.
   * @throws OnnxLoraError `INPUT_INVALID` for a model of one language
   */
  detectLanguages?(
    clips: readonly Float32Array[],
    options?: Pick<ClipOptions, 'adapter' | 'signal'>,
  ): Promise<HeardLanguage[]>;
  /** Frees the sessions. */
  release(): Promise<void>;
  /** As {@link Transcriber.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of `openTranscriber`. */
export interface TranscriberOptions extends RunnableOptions {
  /** Decodes sound; an `AudioFileReader` by default. */
  readonly reader?: AudioReader;
  /** Factories of feature extractors, tried in order; transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
  /** The feature extractor; by default `preprocessors` make it from the model's folder. */
  readonly extractor?: FeatureExtractor;
  /**
   * Audio context in seconds of a model with a fixed window. `auto`, the default, is what the adapter notes from its
   * training, else the whole window. A number or `full` holds for every adapter and the base. Longer clips always use
   * the whole window.
   */
  readonly contextSeconds?: ContextSeconds;
  /** The tokenizer; the model folder's by default. */
  readonly tokenizer?: SpeechTokenizer;
}
