/** @file Sequence records, and their data sets. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ReadData, Split } from '@onnx-lora/sdk/data';

/** A sequence of letters or words with its targets. */
export interface SequenceRecord {
  /** Name; a running number for data without names. */
  readonly id: string;
  /** Input of the tokenizer: a protein, a molecule, a text. */
  readonly sequence: string;
  /** The second sequence of a pair. */
  readonly second?: string;
  /** Hard negatives of a pair, for retrieval: sequences that resemble the second but are wrong. */
  readonly negatives?: readonly string[];
  /** Its class or labels; an empty list for a record without labels in labelled data. */
  readonly labels?: readonly string[];
  /** Numbers to predict, in the order of {@link SequenceData.valueNames}; NaN if not measured. */
  readonly values?: readonly number[];
  /** Group that splitting keeps together. */
  readonly group?: string;
  /** Split that the data assign, if any. */
  readonly split?: Split;
  /** Location for messages: `gb1.csv, line 12`. */
  readonly where: string;
}

/** Split data of a task; `train` is empty for evaluation alone. */
export interface SequenceData<R extends SequenceRecord = SequenceRecord> extends ReadData<R> {
  /** Names of the numbers. */
  readonly valueNames?: readonly string[];
  /** How the held-out part was chosen, for the report: `clusters of at least 30% identity stay whole`. */
  readonly splitBy?: string;
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A record and the progress in its source. */
export interface StreamedRecord<R extends SequenceRecord = SequenceRecord> {
  /** The sequence and its targets. */
  readonly record: R;
  /** Bytes of the source read so far, before decompression. */
  readonly read: number;
  /** Bytes of the source, if known. */
  readonly total?: number;
}

/** Most letters per call: a tokenizer blocks for seconds on a few million; single-letter ones are far faster. */
const [MOST_LETTERS, MOST_SINGLE_LETTERS] = [2 ** 18, 2 ** 22];

/**
 * Refuses long sequences, which block: above 262,144 letters, 4,194,304 with a token per letter, or the lower `most`.
 * @param where file and place, for the message
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

/** Summarises the split: number of records per part, and how it was chosen. */
export function heldOutNote({ train, validation, test, splitBy }: SequenceData, one: string): string {
  const parts = [
    `${train.length} ${one}${train.length === 1 ? '' : 's'} to train on`,
    ...(validation ? [`${validation.length} held out`] : []),
    ...(test && test.length > 0 ? [`${test.length} kept for testing`] : []),
  ];
  return `${parts.join(', ')}${splitBy === undefined ? '' : ` (${splitBy})`}`;
}
