/** @file Speech records, and the options of speech data. */

import { extname } from 'node:path';
import type { DivideOptions, ReadData, Split } from '@onnx-lora/sdk/data';
import type { AudioReader, AudioSource, AudioSpan } from '../audio/audio.ts';

/** One utterance; its sound is not read yet. */
export interface SpeechRecord {
  /** The recording: its path, bytes or samples. */
  readonly audio: AudioSource;
  /** The utterance's part of the recording; the whole if absent. */
  readonly span?: AudioSpan;
  /** Transcript. */
  readonly text?: string;
  /** Its class or labels. */
  readonly labels?: readonly string[];
  /** Regression targets; NaN if unknown. */
  readonly values?: readonly number[];
  /** ISO 639-1 code or name of the language. */
  readonly language?: string;
  /** Speaker. */
  readonly speaker?: string;
  /** Duration in seconds. */
  readonly duration?: number;
  /** Its split, if the data name one. */
  readonly split?: Split;
  /** Name in messages: the path, and the line of the manifest. */
  readonly where: string;
}

/** Data by split; `train` is empty for evaluation only. */
export interface SpeechData extends ReadData<SpeechRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A user's own record. */
export type GivenSpeechRecord = Omit<SpeechRecord, 'where'> & Partial<Pick<SpeechRecord, 'where'>>;

/** A source of recordings: a path, the result of `readSpeechData`, or own records. */
export type SpeechSource = string | SpeechData | AsyncIterable<GivenSpeechRecord> | readonly GivenSpeechRecord[];

/** Names of a manifest's columns, where they are unusual. */
export interface SpeechColumns {
  /** Path of the recording. */
  readonly audio?: string;
  /** Transcript. */
  readonly text?: string;
  /** Its class. */
  readonly label?: string;
  /** All its labels in one cell. */
  readonly labels?: string;
  /** Regression targets. */
  readonly values?: string | readonly string[];
  /** Speaker. */
  readonly speaker?: string;
  /** ISO 639-1 code or name of the language. */
  readonly language?: string;
  /** Start of the utterance in seconds. */
  readonly start?: string;
  /** End of the utterance in seconds. */
  readonly end?: string;
  /** Duration in seconds. */
  readonly duration?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** The group that is never divided when a fraction is held out. */
export type SplitBy = 'speaker' | 'text' | 'recording';

/** Options of `readSpeechData`. */
export interface SpeechDataOptions extends DivideOptions<SpeechRecord> {
  /** The group that a split by fraction keeps whole; by default speakers, else sentences, else recordings, if fair. */
  readonly splitBy?: SplitBy | undefined;
  /** Names of a manifest's columns, where they are unusual. */
  readonly columns?: SpeechColumns | undefined;
  /** Folder of a manifest's relative paths; the manifest's own by default. */
  readonly audioFolder?: string | undefined;
  /** Records with a missing file: `fail` (the default), or `skip` with a warning. */
  readonly missingAudio?: 'fail' | 'skip' | undefined;
  /** Drops shorter recordings. */
  readonly minSeconds?: number | undefined;
  /** Drops longer recordings. */
  readonly maxSeconds?: number | undefined;
  /** Measures recordings of unknown duration. */
  readonly reader?: AudioReader | undefined;
  /** Warns about identical files in different splits; true by default. Reads files of equal size. */
  readonly findDuplicates?: boolean | undefined;
}

/** Endings of sound files; the reader decides which it decodes. */
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

/** True for the ending of a sound file. */
export function isAudio(name: string): boolean {
  return audioEndings.includes(extname(name).toLowerCase());
}
