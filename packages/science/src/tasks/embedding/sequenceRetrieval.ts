/** @file Teaches a model which sequences are of one kind, such as one family, and measures how well one finds the others. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  haveAPair,
  type KindData,
  type KindGroup,
  openFairly,
  type RetrievalLossOptions,
  type RetrievalScores,
  retrievalTask,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { type SequenceRecord, type SequenceSource } from '../../data/sequenceRecord.ts';
import { heldOutNote } from '@onnx-lora/sequences';
import { openSequenceTask } from '@onnx-lora/sequences';
import type { SequenceExample } from '@onnx-lora/sequences';
import { embeddingsBy, embeddingValue, type FeatureOptions, pooledTokens, sequenceFeature } from './tokenStates.ts';
import { type SequenceTaskOptions, sequenceDomain } from '../../domain.ts';

/** Options of {@link sequenceRetrieval}. */
export interface SequenceRetrievalOptions extends SequenceTaskOptions, RetrievalLossOptions, FeatureOptions {}

/** Sequences of one kind. */
export type SequenceGroup = KindGroup<SequenceExample<string>>;

/**
 * Metric learning on sequences: those of one kind are drawn together, others apart. The kind is the label, or the group where there
 * are no labels; of pairs, the two of each belong together. An example is a group of `perGroup` sequences of one kind. Held-out
 * sequences search each other; they may be of other kinds than those that are trained on.
 *
 * @example
 * ```ts
 * const run = await train(model, { task: sequenceRetrieval('families.csv', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function sequenceRetrieval(
  source: SequenceSource,
  options: SequenceRetrievalOptions = {},
): Task<SequenceGroup, RetrievalScores> {
  const { loss, temperature, margin, perGroup, output, pool = 'mean', ...data } = options;
  const request = {
    name: 'sequence-retrieval',
    noun: 'sequences',
    loss,
    temperature,
    margin,
    perGroup,
    seed: data.seed,
  };
  return retrievalTask(request, async (model) => {
    if (data.tooLong === 'windows') {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'The task sequence-retrieval compares whole rows, and reads no windows. Take tooLong: crop, or error.',
      );
    }
    const feature = sequenceFeature(model, output);
    const task = await openFairly(
      (own) => openSequenceTask(sequenceDomain, model, source, own),
      data,
      ({ data: { validation } }) => !validation || haveAPair(kindsOf(validation).kinds),
    );
    const { train, validation, warnings } = task.data;
    const kinds = (given: readonly SequenceRecord[], isTrained: boolean): KindData<SequenceExample<string>> => {
      const { records, kinds: names } = kindsOf(given);
      return { kinds: names, dataset: task.dataset(records, names, { isTrained }) };
    };
    return {
      train: kinds(train, true),
      validation: validation && kinds(validation, false),
      isAugmented: false,
      notes: [heldOutNote(task.data, 'sequence')],
      warnings,
      outputs: feature.inner,
      batch: (items) => {
        const rows = items.map(({ row }) => row);
        return { inputs: task.feeds(rows, items[0]?.draw !== undefined), targets: pooledTokens(rows, pool) };
      },
      embeddingsOf: embeddingsBy(feature),
      embeddingValue: (g, outputs, targets) => embeddingValue(g, outputs, targets, feature),
    };
  });
}

/** Sequences one by one, and the kind of each. */
export interface Kinds {
  readonly records: readonly SequenceRecord[];
  readonly kinds: readonly string[];
}

/** Labels of pairs that belong together, and of those that do not. */
const together: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'positive']);
const apart: ReadonlySet<string> = new Set(['0', 'false', 'no', 'negative']);

/**
 * The kinds of records: the label, or where there are no labels the group. Of pairs, each is a kind of two sequences; where pairs
 * have labels of 1 and 0, those of 1.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a record of which nothing says what it is like
 */
export function kindsOf(records: readonly SequenceRecord[]): Kinds {
  const all = records.flatMap((record, i): (readonly [SequenceRecord, string])[] => {
    const { second, ...first } = record;
    if (second === undefined) return [[record, kindOf(record)]];
    if (!isTogether(record)) return [];
    const kind = `pair ${i + 1}`;
    return [
      [first, kind],
      [{ ...first, id: `${record.id}, second`, sequence: second }, kind],
    ];
  });
  return { records: all.map(([record]) => record), kinds: all.map(([, kind]) => kind) };
}

function isTogether({ labels = [], where }: SequenceRecord): boolean {
  const label = labels[0]?.toLowerCase();
  if (label === undefined || together.has(label)) return true;
  if (apart.has(label)) return false;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: pairs that belong together have the label 1 and others 0, or pairs have no labels, but this one has "${labels[0]}". For classes of pairs take the task sequence-classification.`,
  );
}

function kindOf({ labels = [], group, where }: SequenceRecord): string {
  const kind = labels[0] ?? group;
  if (kind !== undefined && labels.length <= 1) return kind;
  throw new OnnxLoraError(
    'DATA_INVALID',
    labels.length > 1
      ? `${where} has ${labels.length} labels, so nothing says which sequences are of one kind. Give it one.`
      : `${where} has no label, no group and no partner, so nothing says which sequences are of one kind. Name one of them: a column label, group or second.`,
  );
}
