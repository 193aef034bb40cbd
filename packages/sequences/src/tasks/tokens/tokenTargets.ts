/** @file Targets of parts of sequences, such as residues or words, aligned with tokens. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { PreparedTask } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../record.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDataset, SequenceExample, SequenceTask } from '../sequenceTask.ts';

/** Label of a part: a class, a number, or null if unknown. */
export type PartLabel = string | number | null;

/** The parts of sequences to predict. */
export interface Parts<R extends SequenceRecord> {
  /** Plural noun: `residues`. */
  readonly noun: string;
  /** Singular noun: `residue`. */
  readonly one: string;
  /** Remedy for data without any labels. */
  readonly remedy: string;
  /** Label of each part; undefined for a record without labels. */
  readonly labelsOf: (record: R) => readonly PartLabel[] | undefined;
  /** Number of parts. */
  readonly countOf: (record: R) => number;
  /** Part of each token; undefined for tokens without one. */
  readonly ofTokens: (record: R, tokenizer: SequenceTokenizer) => readonly (number | undefined)[];
}

/** An example with a target per token; NaN if unknown. */
export type TokenExample<R extends SequenceRecord = SequenceRecord> = SequenceExample<readonly number[], R>;

/** Origin of a batch's row. */
export interface RowPlace {
  readonly record: number;
  readonly windows: number;
  readonly at: number;
  readonly from: number;
}

const PLACES = 'places';
const FIELDS = 4;

/** Targets of a batch's tokens; NaN for special tokens and padding. */
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

/** Reads the target `places`: record, windows and position of each row. */
export function placesOf(targets: Feeds): RowPlace[] {
  const places = targets[PLACES]!;
  return Array.from({ length: places.dims[0]! }, (_, row) => {
    const [record, windows, at, from] = Array.from(places.data.subarray(row * FIELDS, (row + 1) * FIELDS), Number);
    return { record: record!, windows: windows!, at: at!, from: from! };
  });
}

/** Targets of a record's tokens, NaN if unknown; `numberOf` encodes a label. */
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

/** Datasets with targets per token, and their batches. */
export interface BoundParts<R extends SequenceRecord> {
  /** Training sequences. */
  readonly train: SequenceDataset<readonly number[], R>;
  /** Held-out sequences, if any. */
  readonly validation: SequenceDataset<readonly number[], R> | undefined;
  /** Warnings about records left out. */
  readonly warnings: readonly string[];
  /** Makes batches of the sequences. */
  readonly collate: PreparedTask<TokenExample<R>>['collate'];
}

/**
 * Aligns labels with tokens. Records without any known label are left out, since they would teach nothing.
 * @param numberOf encodes a label
 * @param targetsOf makes a batch's targets from those of its tokens, NaN if unknown, with dims `[batch, tokens]`
 * @throws OnnxLoraError `DATA_INVALID`, naming a record that has no labels, or not one per part
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
