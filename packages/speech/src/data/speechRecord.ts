/** @file A recording in the data, and what is known of it. */

import type { Split } from '@onnx-lora/sdk/data';
import type { AudioSource, AudioSpan } from '../audio/audio.ts';

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

/** The data of a task, in parts. */
export interface SpeechData {
  /** Empty where the data are for evaluation alone. */
  readonly train: readonly SpeechRecord[];
  /** What is measured on. */
  readonly validation?: readonly SpeechRecord[];
  /** Kept out of both. */
  readonly test?: readonly SpeechRecord[];
  /** What the user should know of the data. */
  readonly warnings: readonly string[];
}
