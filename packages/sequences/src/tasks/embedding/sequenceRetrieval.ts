/** @file The retrieval task: metric learning on sequences of one kind. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  hasPositivePair,
  type KindData,
  type KindGroup,
  openWithFairHoldOut,
  type RetrievalLossOptions,
  type RetrievalScores,
  retrievalTask,
  type BaselineSearch,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import { type SequenceDomain } from '../../domain.ts';
import { heldOutNote, type SequenceRecord } from '../../record.ts';
import { lengthParts } from './lengthParts.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import type { SequenceExample, TokenOptions } from '../sequenceTask.ts';
import { embeddingsBy, embeddingValue, type FeatureOptions, pooledTokens } from './tokenStates.ts';
import { openVectors } from './vectors.ts';

/** Options of {@link retrieval}. */
export interface RetrievalOptions extends TokenOptions, RetrievalLossOptions, FeatureOptions {}

/** A group of sequences of one kind. */
export type SequenceGroup<R extends SequenceRecord = SequenceRecord> = KindGroup<SequenceExample<string, R>>;

/**
 * Metric learning: sequences of one kind are pulled together, others pushed apart. The kind is the label, or the group
 * in data without labels, or the pair. An example is a group of `perGroup` sequences. Held-out sequences, also of new
 * kinds, search each other; with asymmetric pairs (`domain.asks`) the first ones search the second ones.
 */
export function retrieval<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  source: Source,
  options: Options & RetrievalOptions,
): Task<SequenceGroup<R>, RetrievalScores> {
  const { noun, one } = domain;
  const { loss, temperature, margin, perGroup, sizes, output, pool, ...data } = options;
  const request = {
    name: `${one}-retrieval`,
    noun,
    loss,
    temperature,
    margin,
    perGroup,
    sizes,
    seed: data.seed,
  };
  return retrievalTask(request, async (model) => {
    if (data.tooLong === 'windows') {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The task ${one}-retrieval compares whole rows, and reads no windows. Take tooLong: crop, or error.`,
      );
    }
    const { feature, pool: pooling } = await openVectors(model, domain, { output, pool });
    const task = await openWithFairHoldOut(
      (own) => openSequenceTask<R, Source, Options>({ ...domain, embeds: true }, model, source, own),
      data as unknown as Options & TokenOptions,
      ({ data: { validation } }) => !validation || hasPositivePair(kindsOf(validation, one).kinds),
    );
    const { train, validation, warnings } = task.data;
    const kinds = (given: readonly R[], isTrained: boolean): KindData<SequenceExample<string, R>> => {
      const { records, kinds: names, asks, negatives } = kindsOf(given, one);
      const isAsked = domain.asks === true && asks.includes(true);
      return {
        kinds: names,
        dataset: task.dataset(records, names, { isTrained }),
        ...(isAsked && { asks }),
        ...(negatives && { negatives }),
      };
    };
    const rival = validation && domain.search && domain.asks ? rivalOf(domain.search, kindsOf(validation, one)) : undefined; // prettier-ignore
    return {
      ...(rival && { rival }),
      train: kinds(train, true),
      validation: validation && kinds(validation, false),
      isAugmented: false,
      notes: [heldOutNote(task.data, one)],
      warnings,
      outputs: feature.inner,
      batch: (items) => {
        const rows = items.map(({ row }) => row);
        return {
          inputs: task.feeds(rows, items[0]?.draw !== undefined),
          targets: pooledTokens(rows, pooling),
        };
      },
      parts: (inputs, targets, rows) => lengthParts(task.ports, inputs, targets, rows),
      embeddingsOf: embeddingsBy(feature, pooling),
      embeddingValue: (g, outputs, targets) => embeddingValue(g, outputs, targets, feature, pooling),
    };
  });
}

/** Most documents of the lexical search. */
const MOST_SEARCHED = 20_000;

function rivalOf<R extends SequenceRecord>(
  { name, index }: NonNullable<SequenceDomain<R, never, never>['search']>,
  { records, asks }: Kinds<R>,
): BaselineSearch | undefined {
  const part = (isAsking: boolean): string[] => records.filter((_, i) => asks[i] === isAsking).map(({ sequence }) => sequence); // prettier-ignore
  const [queries, documents] = [part(true), part(false)];
  if (queries.length === 0 || documents.length > MOST_SEARCHED) return undefined;
  let fits: ((query: string) => Float64Array) | undefined;
  return { name, scoresOf: (query) => (fits ??= index(documents))(queries[query]!) };
}

/** Single sequences with their kinds. */
export interface Kinds<R> {
  /** The sequences, those of pairs apart. */
  readonly records: readonly R[];
  /** Kind of each sequence. */
  readonly kinds: readonly string[];
  /** Whether each is the first of a pair. */
  readonly asks: readonly boolean[];
  /** Indices of each sequence's hard negatives; absent if no pair has any, otherwise every pair has some. */
  readonly negatives?: readonly (readonly number[])[];
}

/** Labels of positive and negative pairs. */
const together: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'positive']);
const apart: ReadonlySet<string> = new Set(['0', 'false', 'no', 'negative']);

/**
 * Assigns kinds: the label, or the group in data without labels. A pair is a kind of two sequences; in labelled pairs
 * only those with the label 1. A hard negative is its own kind.
 * @throws OnnxLoraError `DATA_INVALID` for a record without label, group or partner
 */
export function kindsOf<R extends SequenceRecord>(records: readonly R[], one: string): Kinds<R> {
  const all = records.flatMap((record, i): (readonly [R, string, boolean])[] => {
    const { second, negatives, ...first } = record;
    if (second === undefined) return [[record, kindOf(record, one), false]];
    if (!isTogether(record, one)) return [];
    const kind = `pair ${i + 1}`;
    return [
      [first as R, kind, true],
      [{ ...first, id: `${record.id}, second`, sequence: second } as R, kind, false],
      ...(negatives ?? []).map((sequence, n) => [{ ...first, id: `${record.id}, negative ${n + 1}`, sequence } as R, `${kind}, negative ${n + 1}`, false] as const), // prettier-ignore
    ];
  });
  const lacking = records.find(
    (record) => record.second !== undefined && !record.negatives?.length && isTogether(record, one),
  );
  const has = records.some(({ negatives }) => negatives?.length);
  if (has && lacking)
    throw new OnnxLoraError('DATA_INVALID', `${lacking.where}: it has no hard negative, and others have. Give each pair one, or none.`); // prettier-ignore
  const places = new Map<string, number[]>();
  all.forEach(([, kind], i) => {
    const [pair, negative] = kind.split(', negative ');
    if (negative !== undefined) places.set(pair!, [...(places.get(pair!) ?? []), i]);
  });
  return { records: all.map(([record]) => record), kinds: all.map(([, kind]) => kind), asks: all.map(([, , asks]) => asks), ...(has && { negatives: all.map(([, kind, asks]) => (asks ? (places.get(kind) ?? []) : [])) }) }; // prettier-ignore
}

function isTogether({ labels = [], where }: SequenceRecord, one: string): boolean {
  const label = labels[0]?.toLowerCase();
  if (label === undefined || together.has(label)) return true;
  if (apart.has(label)) return false;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: pairs that belong together have the label 1 and others 0, or pairs have no labels, but this one has "${labels[0]}". For classes of pairs take the task ${one}-classification.`,
  );
}

function kindOf({ labels = [], group, where }: SequenceRecord, one: string): string {
  const kind = labels[0] ?? group;
  if (kind !== undefined && labels.length <= 1) return kind;
  throw new OnnxLoraError(
    'DATA_INVALID',
    labels.length > 1
      ? `${where} has ${labels.length} labels, so nothing says which ${one}s are of one kind. Give it one.`
      : `${where} has no label, no group and no partner, so nothing says which ${one}s are of one kind. Name one of them: a column label, group or second.`,
  );
}
