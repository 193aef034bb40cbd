/** @file A recording in the data, what is known of it, and what a user may say of how data are read. */

import { extname } from 'node:path';
import type { DivideOptions, ReadData, Split } from '@onnx-lora/sdk/data';
import type { AudioReader, AudioSource, AudioSpan } from '../audio/audio.ts';

/** One utterance of the data. Nothing of the sound is read yet. */
export interface SpeechRecord {
  /** The recording: its path, or its bytes. */
  readonly audio: AudioSource;
  /** Which part of the recording, where it is only a part. */
  readonly span?: AudioSpan;
  /** What is said. */
  readonly text?: string;
  /** Its class, or several, for classification. */
  readonly labels?: readonly string[];
  /** Numbers to predict; NaN where one is not known. */
  readonly values?: readonly number[];
  /** ISO 639-1 code or name, where the data says it. */
  readonly language?: string;
  /** Who speaks, where the data says it. */
  readonly speaker?: string;
  /** Seconds, where the data says it. */
  readonly duration?: number;
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** What it is called in messages: the path, and the line of the manifest. */
  readonly where: string;
}

/** The data of a task, in parts; `train` is empty where they are for evaluation alone. */
export interface SpeechData extends ReadData<SpeechRecord> {
  /** What the user should know of the data. */
  readonly warnings: readonly string[];
}

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
  /** Numbers to predict. */
  readonly values?: string | readonly string[];
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
export interface SpeechDataOptions extends DivideOptions<SpeechRecord> {
  /** What a split by fraction never divides; by default speakers, or else sentences, or else recordings, as far as it is fair. */
  readonly splitBy?: SplitBy | undefined;
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

/** Endings of sound files. Whether one can be decoded is the reader's affair. */
export const audioEndings: readonly string[] = [
  '.wav',
  '.wave',
  '.flac',
  '.mp3',
  '.ogg',
  '.oga',
  '.opus',
  '.m4a',
  '.mp4',
  '.aac',
  '.webm',
];

/** Whether a file's ending is that of a recording. */
export function isAudio(name: string): boolean {
  return audioEndings.includes(extname(name).toLowerCase());
}
