/** @file Sequence records, and their data sets. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ReadData, Split } from '@onnx-lora/sdk/data';

/** One sequence of letters, or of words, and what is known of it. */
export interface SequenceRecord {
  /** What it is called; its number where the data has no names. */
  readonly id: string;
  /** What the tokenizer is given: a protein, a molecule, a text. */
  readonly sequence: string;
  /** The other of a pair. */
  readonly second?: string;
  /** Of a pair, other sequences that are like the second and wrong, for who learns to find it. */
  readonly negatives?: readonly string[];
  /** Its class, or several labels; none is an empty list where the data have labels. */
  readonly labels?: readonly string[];
  /** Numbers to predict, in the order of {@link SequenceData.valueNames}; NaN where one was not measured. */
  readonly values?: readonly number[];
  /** Records of one group are never divided. */
  readonly group?: string;
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** Where it is, for messages: `gb1.csv, line 12`. */
  readonly where: string;
}

/** The data of a task, in parts; `train` is empty where they are for evaluation alone. */
export interface SequenceData<R extends SequenceRecord = SequenceRecord> extends ReadData<R> {
  /** What the values are called. */
  readonly valueNames?: readonly string[];
  /** How the held-out part was chosen, in words, for the report: `clusters of at least 30% identity stay whole`. */
  readonly splitBy?: string;
  /** What the user should know of the data. */
  readonly warnings: readonly string[];
}

/** A record, and how far its file is read. */
export interface StreamedRecord<R extends SequenceRecord = SequenceRecord> {
  /** The sequence and what the file says of it. */
  readonly record: R;
  /** Bytes of the source that were read, compressed as they are. */
  readonly read: number;
  /** Bytes of the source; absent where that is not known. */
  readonly total?: number;
}

/**
 * Letters tokenized at once. A tokenizer takes seconds for a few million and blocks meanwhile; single-letter ones are
 * far faster.
 */
const [MOST_LETTERS, MOST_SINGLE_LETTERS] = [2 ** 18, 2 ** 22];

/**
 * Refuses what would take long to be made tokens, before it is.
 * @param letters how many there are
 * @param where file and place, for the message
 * @param isPerLetter whether the tokenizer has a token for each letter
 * @param most how many there may be, where that is fewer than are ever read at once: 262,144, or 4,194,304 of single letters
 * @throws OnnxLoraError `DATA_INVALID`
 */
export function requireShort(letters: number, where: string, isPerLetter: boolean, most: number = Infinity): void {
  const bound = Math.min(most, isPerLetter ? MOST_SINGLE_LETTERS : MOST_LETTERS);
  if (letters <= bound) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where} has ${letters} letters, and at most ${bound} are read at once. Shorten it, or split it.`,
  );
}

/** How many records are for what, and how that was chosen. */
export function heldOutNote({ train, validation, test, splitBy }: SequenceData, one: string): string {
  const parts = [
    `${train.length} ${one}${train.length === 1 ? '' : 's'} to train on`,
    ...(validation ? [`${validation.length} held out`] : []),
    ...(test && test.length > 0 ? [`${test.length} kept for testing`] : []),
  ];
  return `${parts.join(', ')}${splitBy === undefined ? '' : ` (${splitBy})`}`;
}
