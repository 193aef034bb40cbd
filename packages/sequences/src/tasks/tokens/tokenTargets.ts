/** @file Targets of parts of sequences, such as residues or words, aligned with tokens. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { PreparedTask } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../record.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDataset, SequenceExample, SequenceTask } from '../sequenceTask.ts';

/** What is known of a part: a class, a number, or null where nothing is. */
export type PartLabel = string | number | null;

/** The parts of sequences that are answered about. */
export interface Parts<R extends SequenceRecord> {
  /** What they are called, in the plural: `residues`. */
  readonly noun: string;
  /** One of them: `residue`. */
  readonly one: string;
  /** What to do where no part of the data has a label. */
  readonly remedy: string;
  /** What is known of each; undefined where the record has no labels. */
  readonly labelsOf: (record: R) => readonly PartLabel[] | undefined;
  /** How many there are. */
  readonly countOf: (record: R) => number;
  /** Of each token, the part that it answers about; undefined where there is none. */
  readonly ofTokens: (record: R, tokenizer: SequenceTokenizer) => readonly (number | undefined)[];
}

/** What is known of the tokens of each record; NaN where nothing is. */
export type TokenExample<R extends SequenceRecord = SequenceRecord> = SequenceExample<readonly number[], R>;

/** A row of a batch. */
export interface RowPlace {
  /** Record number and its number of windows. */
  readonly record: number;
  readonly windows: number;
  /** Position of the first token in the row, and in the sequence. */
  readonly at: number;
  readonly from: number;
}

const PLACES = 'places';
const FIELDS = 4;

/** Targets of a batch's tokens, NaN for special ones and padding. */
function knownTokens(examples: readonly TokenExample[], length: number): number[] {
  return examples.flatMap(({ row: { at, count, from }, target }) =>
    Array.from({ length }, (_, i) => (i >= at && i < at + count ? target[from + i - at]! : Number.NaN)),
  );
}

/** Target `places` that locates windows, int64 `[batch, 4]`; not in training. */
function placeTargets(examples: readonly TokenExample[]): Feeds {
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
 * What is known of each token of a record, NaN where nothing is.
 * @param numberOf the number of a label
 * @throws OnnxLoraError `DATA_INVALID`, naming the record, where it has no labels, or not one for each part
 */
function tokenValues<R extends SequenceRecord>(
  record: R,
  tokenizer: SequenceTokenizer,
  parts: Parts<R>,
  numberOf: (label: string | number, part: number) => number,
): number[] {
  const { where, id } = record;
  const labels = parts.labelsOf(record);
  const count = parts.countOf(record);
  if (labels?.length !== count) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      labels
        ? `${where}: "${id}" has ${labels.length} labels for ${count} ${parts.noun}. Give one to each.`
        : `${where}: "${id}" has no labels of its ${parts.noun}. Name the column that has them, or leave it out.`,
    );
  }
  return parts.ofTokens(record, tokenizer).map((part) => {
    const label = part === undefined ? null : labels[part];
    return label === null || label === undefined ? Number.NaN : numberOf(label, part!);
  });
}

/** Records with what is known of their parts, and how they become batches. */
export interface BoundParts<R extends SequenceRecord> {
  /** What is trained on. */
  readonly train: SequenceDataset<readonly number[], R>;
  /** What is held out. */
  readonly validation: SequenceDataset<readonly number[], R> | undefined;
  /** Says what was left out. */
  readonly warnings: readonly string[];
  /** Makes batches of them. */
  readonly collate: PreparedTask<TokenExample<R>>['collate'];
}

/**
 * Binds sequences to what is known of their parts. Records of which nothing is known are left out, since they would teach nothing.
 * @param numberOf the number of a label
 * @param targetsOf targets of a batch, given what is known of each token, NaN where nothing is, and their dims `[batch, tokens]`
 * @throws OnnxLoraError `DATA_INVALID`, naming a record that has no labels, or not one for each part
 */
export function boundParts<R extends SequenceRecord>(
  task: SequenceTask<R>,
  parts: Parts<R>,
  numberOf: (record: R, label: string | number, part: number) => number,
  targetsOf: (tokens: readonly number[], dims: readonly number[]) => Feeds,
): BoundParts<R> {
  const { data, tokenizer, ports } = task;
  const warnings: string[] = [];
  const labelled = (records: readonly R[], isTrained: boolean): SequenceDataset<readonly number[], R> => {
    const all = records.map((record) => {
      return { record, target: tokenValues(record, tokenizer, parts, (label, part) => numberOf(record, label, part)) };
    });
    const known = all.filter(({ target }) => !target.every(Number.isNaN));
    const lost = all.find(({ target }) => target.every(Number.isNaN))?.record;
    if (lost)
      warnings.push(
        `${all.length - known.length} sequences have no ${parts.one} with a known label, and are left out: the first is ${lost.where}.`,
      );
    return task.dataset(known.map(({ record }) => record), known.map(({ target }) => target), { isTrained }); // prettier-ignore
  };
  return {
    train: labelled(data.train, true),
    validation: data.validation && labelled(data.validation, false),
    warnings,
    collate: async (examples) => {
      const rows = examples.map(({ row }) => row);
      const inputs = task.feeds(rows, examples[0]?.draw !== undefined);
      const { dims } = inputs[ports.ids]!;
      const tokens = knownTokens(examples, dims[1]!);
      return { inputs, targets: { ...targetsOf(tokens, dims), ...placeTargets(examples) } };
    },
  };
}
