/** @file What turns sound into text with a model that writes token by token. */

import type { AudioSource } from '../audio/audio.ts';

/** How one request is answered. */
export interface TranscribeOptions {
  /** Name of the adapter among those of the recogniser; null or absent is the base. */
  readonly adapter?: string | null;
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
  /** Cancels. */
  readonly signal?: AbortSignal;
}

/** A piece of a transcript. */
export interface TranscriptSegment {
  /** Seconds from the beginning of the recording. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly words?: readonly { readonly word: string; readonly start: number; readonly end: number }[];
}

/** What was said. */
export interface Transcript {
  readonly text: string;
  /** ISO 639-1 code, for models that know several. */
  readonly language?: string;
  readonly segments?: readonly TranscriptSegment[];
  /** The ids that were written, without prompt and end. */
  readonly tokens: readonly number[];
}

/** A model with its adapters, ready to transcribe. */
export interface Recogniser {
  /** Clips of at most one window each (30 s for Whisper), as one batch, in their order. */
  transcribeClips(clips: readonly Float32Array[], options?: TranscribeOptions): Promise<Transcript[]>;
  /** A recording of any length, window by window. */
  transcribe(source: AudioSource | AsyncIterable<Uint8Array>, options?: TranscribeOptions): Promise<Transcript>;
  /** The same, with each segment as soon as it is written. Memory does not grow with the length of the recording. */
  segments(
    source: AudioSource | AsyncIterable<Uint8Array>,
    options?: TranscribeOptions,
  ): AsyncIterable<TranscriptSegment>;
  /** Frees the sessions. */
  release(): Promise<void>;
}
