/** @file Where recordings come from, and what a user may say of how they are read. */

import type { EvalSplit } from '@onnx-lora/sdk/data';
import type { AudioReader } from '../audio/audio.ts';
import type { SpeechData, SpeechRecord } from './speechRecord.ts';

/** A record of the user's own. */
export type GivenSpeechRecord = Omit<SpeechRecord, 'where'> & Partial<Pick<SpeechRecord, 'where'>>;

/** Where recordings come from: a path, what `readSpeechData` gave, or records of the user's own. */
export type SpeechSource = string | SpeechData | AsyncIterable<GivenSpeechRecord> | readonly GivenSpeechRecord[];

/** Columns of a manifest whose names do not say what they hold. */
export interface SpeechColumns {
  /** Path of the recording. */
  readonly audio?: string;
  /** What is said. */
  readonly text?: string;
  /** Its class. */
  readonly label?: string;
  /** All its labels, in one cell. */
  readonly labels?: string;
  /** Who speaks. */
  readonly speaker?: string;
  /** ISO 639-1 code or name of the language that is spoken. */
  readonly language?: string;
  /** Seconds from the beginning of the recording at which the utterance begins. */
  readonly start?: string;
  /** Seconds from the beginning of the recording at which the utterance ends. */
  readonly end?: string;
  /** Seconds that it lasts. */
  readonly duration?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** What is never divided when a fraction is held out. */
export type SplitBy = 'speaker' | 'text' | 'recording';

/** Options of `readSpeechData`. */
export interface SpeechDataOptions {
  /**
   * Data held out for evaluation: the path of other data, or a fraction between 0 and 1 of what would be trained on; 0 holds
   * nothing out that the data does not. Without it the data's own validation split is taken, or its test split where it has
   * no other.
   */
  readonly validation?: string | number | undefined;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing; none by default. */
  readonly holdOut?: number | undefined;
  /** Seed of the split by fraction; 0 by default. */
  readonly seed?: number | undefined;
  /** What a split by fraction never divides; by default speakers, or else sentences, or else recordings, as far as it is fair. */
  readonly splitBy?: SplitBy | undefined;
  /** Which of the data's own splits is measured on: `test` in place of any other, or `validation`, the default. */
  readonly evalSplit?: EvalSplit | undefined;
  /** Columns of a manifest whose names do not say what they hold. */
  readonly columns?: SpeechColumns | undefined;
  /** The folder that names of files in a manifest start from; the manifest's own by default. */
  readonly audioFolder?: string | undefined;
  /** What becomes of records whose file does not exist: `fail` (the default), or `skip` with a warning. */
  readonly missingAudio?: 'fail' | 'skip' | undefined;
  /** Shorter recordings are left out. */
  readonly minSeconds?: number | undefined;
  /** Longer recordings are left out. */
  readonly maxSeconds?: number | undefined;
  /** Measures recordings whose length the data does not say, where lengths matter. */
  readonly reader?: AudioReader | undefined;
  /** Whether files of the same bytes are looked for in different splits; true by default. Reads files that have the same size. */
  readonly findDuplicates?: boolean | undefined;
}
