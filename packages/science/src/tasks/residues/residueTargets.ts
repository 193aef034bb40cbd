/** @file What is known of residues: from letters to tokens and back, and as the targets of a batch. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceExample, SequenceTokenizer } from '@onnx-lora/sequences';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';

/** What is known of the tokens of each record; NaN where nothing is. */
export type ResidueExample = SequenceExample<readonly number[]>;

/** A row of a batch. */
export interface RowPlace {
  /** Number of its record, and of how many windows of that it is one. */
  readonly record: number;
  readonly windows: number;
  /** Place of its first residue in the row, and in the sequence. */
  readonly at: number;
  readonly from: number;
}

const PLACES = 'places';
const FIELDS = 4;

/** What is known of each token of a batch, row by row: NaN for special ones and padding. */
export function knownTokens(examples: readonly ResidueExample[], length: number): number[] {
  return examples.flatMap(({ row: { at, count, from }, target }) =>
    Array.from({ length }, (_, i) => (i >= at && i < at + count ? target[from + i - at]! : Number.NaN)),
  );
}

/** Target by which windows are put together: int64 `[batch, 4]`, of batches that are measured. */
export function placeTargets(examples: readonly ResidueExample[]): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  const fields = examples.flatMap(({ index, windows, row: { at, from } }) => [index, windows, at, from]);
  return { [PLACES]: int64(fields, [examples.length, FIELDS]) };
}

/** Where the rows of a batch are from. */
export function placesOf(targets: Feeds): RowPlace[] {
  const places = targets[PLACES]!;
  return Array.from({ length: places.dims[0]! }, (_, row) => {
    const [record, windows, at, from] = Array.from(places.data.subarray(row * FIELDS, (row + 1) * FIELDS), Number);
    return { record: record!, windows: windows!, at: at!, from: from! };
  });
}

/**
 * Refuses tokenizers whose tokens are several letters: an answer of one such token is none about each of its letters.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function requireLetters(model: string, { isPerLetter }: SequenceTokenizer): void {
  if (isPerLetter) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The tokens of "${model}" are several letters long, so it cannot answer about each of them. Take a model that reads letter by letter, such as ESM-2 or ProtBERT; or give each sequence one label, and take the task sequence-classification or sequence-regression.`,
  );
}

/**
 * What is known of each token of a record, NaN where nothing is: where `numberOf` says so, and of tokens that stand for several
 * letters, as ESM's `<unk>` does for a run of unknown ones.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the record, where it has no labels, or not one for each letter
 */
export function tokenValues(
  record: SequenceRecord,
  tokenizer: SequenceTokenizer,
  numberOf: (residue: string | number, letter: number) => number,
): number[] {
  const { residues, sequence, where, id } = record;
  if (residues?.length !== sequence.length) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      residues
        ? `${where}: "${id}" has ${residues.length} labels for ${sequence.length} residues. Give one to each.`
        : `${where}: "${id}" has no labels of its residues. Name the column that has them, or leave it out.`,
    );
  }
  const { ids, starts, ends } = tokenizer.tokens(sequence);
  return ids.map((_, token) => {
    const letter = starts[token]!;
    const residue = ends[token] === letter + 1 ? residues[letter] : null;
    return residue === null || residue === undefined ? Number.NaN : numberOf(residue, letter);
  });
}

/**
 * An answer for each letter, given one for each token: letters of a token that stands for several share its answer.
 *
 * @returns undefined for letters that no token stands for, as where a sequence was cropped
 */
export function perLetter<T>(
  sequence: string,
  tokenizer: SequenceTokenizer,
  answerOf: (token: number) => T | undefined,
): (T | undefined)[] {
  const { ids, starts, ends } = tokenizer.tokens(sequence);
  const letters = Array.from(sequence, (): T | undefined => undefined);
  for (const token of ids.keys()) letters.fill(answerOf(token), starts[token], ends[token]);
  return letters;
}

/** Records and what is known of their tokens. */
export interface LabelledRecords {
  readonly records: readonly SequenceRecord[];
  /** Of each record, what is known of each token; NaN where nothing is. */
  readonly targets: readonly (readonly number[])[];
  /** Says what was left out. */
  readonly warnings: readonly string[];
}

/** Leaves out records of which nothing is known: they would teach nothing. */
export function labelledRecords(
  records: readonly SequenceRecord[],
  valuesOf: (record: SequenceRecord) => readonly number[],
): LabelledRecords {
  const all = records.map((record) => ({ record, target: valuesOf(record) }));
  const known = all.filter(({ target }) => !target.every(Number.isNaN));
  const lost = all.find(({ target }) => target.every(Number.isNaN))?.record;
  return {
    records: known.map(({ record }) => record),
    targets: known.map(({ target }) => target),
    warnings: lost
      ? [
          `${all.length - known.length} sequences have no residue with a known label, and are left out: the first is ${lost.where}.`,
        ]
      : [],
  };
}
