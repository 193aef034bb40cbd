/** @file What turns sound into text with a model that writes token by token, and how it is opened. */

import type { AdapterChoice, RowAdapter } from '@onnx-lora/sdk';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { AudioReader, AudioSource } from '../audio/audio.ts';
import type { ContextSeconds } from '../features/audioContext.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** How one request is answered. */
export interface TranscribeOptions {
  /** Name of the adapter among those of the transcriber, or a blend of several; null or absent is the base. */
  readonly adapter?: RowAdapter;
  /** `en`, `english` …; found out where it is absent and the model knows several. */
  readonly language?: string;
  /** `transcribe` (the default) writes what is said, `translate` writes it in English. */
  readonly task?: 'transcribe' | 'translate';
  /** `segment`: begin and end of each segment, in seconds; `word`: of each word, where the graph gives cross-attentions. */
  readonly timestamps?: 'none' | 'segment' | 'word';
  /** Beams of the search; 1 is greedy. */
  readonly beams?: number;
  /** Most tokens for one window. */
  readonly maxTokens?: number;
  /** What was said before the recording, or words that are likely in it: how they are spelled is taken over. */
  readonly prompt?: string;
  /**
   * Whether each window is shown what was written for those before it. Text flows better, but where a model goes wrong it may
   * stay so. False by default, as in transformers: adapters have learned on clips that nothing goes before.
   */
  readonly conditionOnPrevious?: boolean;
  /**
   * Temperatures at which a text is written, one after the other, until it does not look wrong. 0, 0.2 … 1 by default for
   * recordings, 0 alone for clips.
   */
  readonly temperatures?: readonly number[];
  /** A text that zlib makes more than this many times smaller looks wrong: it repeats itself. 2.4 by default. */
  readonly compressionRatioThreshold?: number;
  /** A text whose tokens have less log-probability than this, on average, looks wrong. −1 by default. */
  readonly logprobThreshold?: number;
  /** Where this probability of silence is exceeded and a text looks wrong for its log-probability, nothing is said. 0.6 by default. */
  readonly noSpeechThreshold?: number;
  /** Of what is drawn above temperature 0; 0 by default. */
  readonly seed?: number;
  /** Cancels. */
  readonly signal?: AbortSignal;
}

/** How a batch of clips is answered. */
export interface ClipOptions extends Omit<TranscribeOptions, 'adapter'> {
  /** One adapter for all clips, or one for each. */
  readonly adapter?: AdapterChoice;
}

/** A piece of a transcript. */
export interface TranscriptSegment {
  /** Seconds from the beginning of the recording. */
  readonly start: number;
  /** Seconds from the beginning of the recording. */
  readonly end: number;
  /** What is said in it. */
  readonly text: string;
  /** Its words with their times, where these were asked for. */
  readonly words?: readonly SpokenWord[];
  /** ISO 639-1 code of what is spoken, for models that know several. */
  readonly language?: string;
}

/** A word, and when it is said. */
export interface SpokenWord {
  /** With the punctuation that belongs to it. */
  readonly word: string;
  /** Seconds from the beginning of the recording. */
  readonly start: number;
  /** Seconds from the beginning of the recording. */
  readonly end: number;
}

/** What was said. */
export interface Transcript {
  /** All that was said. */
  readonly text: string;
  /** ISO 639-1 code, for models that know several. */
  readonly language?: string;
  /** Its pieces, where their times were asked for. */
  readonly segments?: readonly TranscriptSegment[];
  /** The ids that were written, without prompt and end. */
  readonly tokens: readonly number[];
}

/** A language that was heard. */
export interface HeardLanguage {
  /** Its code: `en`. */
  readonly language: string;
  /** Among all languages that the model knows. */
  readonly probability: number;
}

/** A model with its adapters, ready to transcribe. */
export interface Transcriber extends AsyncDisposable {
  /** Hz of the samples that {@link Transcriber.transcribeClips} takes. */
  readonly sampleRate: number;
  /** Samples of the longest clip that it takes: one window, 30 s for Whisper. Absent where any length is heard. */
  readonly maxSamples?: number;
  /**
   * Clips of at most one window each (30 s for Whisper), as one batch, in their order. What is written for one does not
   * depend on the others.
   *
   * @param clips samples `[samples]` at the rate of the model's feature extractor, mono
   */
  transcribeClips(clips: readonly Float32Array[], options?: ClipOptions): Promise<Transcript[]>;
  /** A recording of any length, window by window. */
  transcribe(source: AudioSource | AsyncIterable<Uint8Array>, options?: TranscribeOptions): Promise<Transcript>;
  /** The same, with each segment as soon as it is written. Memory does not grow with the length of the recording. */
  segments(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options?: TranscribeOptions,
  ): AsyncIterable<TranscriptSegment>;
  /**
   * What is spoken in clips, of at most one window each. Absent where a model knows no languages by name, as one that writes
   * letters.
   *
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
  /** Makers of feature extractors, asked in order; those of transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
  /** What makes features of sound; made by `preprocessors` of the file in the model's folder by default. */
  readonly extractor?: FeatureExtractor;
  /**
   * Seconds from the beginning of a clip that a model with a fixed window hears, with little of the silence behind. By `auto`,
   * the default, those with which the adapter was trained, which it notes, and else the whole window. A number or `full` holds
   * for every adapter and for the base. Clips that are longer are heard with the whole window in any case.
   */
  readonly contextSeconds?: ContextSeconds;
  /** The vocabulary; found in the model's folder by default. */
  readonly tokenizer?: SpeechTokenizer;
}
