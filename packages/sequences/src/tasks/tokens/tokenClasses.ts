/** @file Token classification: a class per part of a sequence, such as a residue or a word. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Batch,
  chooseHead,
  type ClassWeighting,
  crossEntropy,
  quotedNames,
  type MetricCollector,
  type MetricsNamed,
  type PreparedTask,
  type ReportRequest,
  type ReportSection,
  type TaskModel,
  weightsOf,
} from '@onnx-lora/sdk/tasks';
import { type DivideOptions, definingRecords } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../../domain.ts';
import { heldOutNote, type SequenceRecord } from '../../record.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { headOnEachToken, ownHead, type SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceDataset, SequenceTask, TokenOptions } from '../sequenceTask.ts';
import { tokenClassMetrics, type TokenClassScores, type TokenMetricsOptions, UNKNOWN } from './tokenAnswers.ts';
import { boundParts, type Parts, type TokenExample } from './tokenTargets.ts';

/** Options of tasks with a class per part. */
export interface PartClassOptions extends TokenOptions, Pick<SequenceHeadOptions, 'head'> {
  /** Labels that mean an unknown class, such as X: they count neither in the loss nor in the metrics. */
  readonly unknown?: readonly string[] | undefined;
  /** Weight of each class in the loss; 1 by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** Label smoothing: the share of a label spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
}

/** Input of a report on classes of parts. */
export interface PartReportOptions<R extends SequenceRecord> extends TokenMetricsOptions {
  /** The model's tokenizer. */
  readonly tokenizer: SequenceTokenizer;
  /** Training sequences. */
  readonly train: SequenceDataset<readonly number[], R>;
  /** Held-out sequences. */
  readonly validation: SequenceDataset<readonly number[], R>;
  /** Makes batches of the sequences. */
  readonly collate: (examples: readonly TokenExample<R>[]) => Promise<Batch>;
  /** Whether the base has a head, too. */
  readonly hasOwnHead: boolean;
}

/** The domain's part of such a task. */
export interface PartClasses<R extends SequenceRecord> {
  /** Parts to predict. */
  readonly parts: Parts<R>;
  /** Warnings about classes. */
  readonly warningsOf?: (classes: readonly string[]) => readonly string[];
  /** Metric collector; {@link tokenClassMetrics} by default. */
  readonly metrics?: (options: TokenMetricsOptions) => MetricCollector<TokenClassScores & MetricsNamed<'loss'>>;
  /** Report sections. */
  readonly report: (options: PartReportOptions<R>, request: ReportRequest) => Promise<readonly ReportSection[]>;
}

/**
 * Prepares a task with a class per part from opened data. Targets are `{ labels: int64 [batch, tokens] }`, −100 for
 * tokens that do not count.
 * @param root name of the data
 * @throws OnnxLoraError `DATA_INVALID` for data with fewer than two classes, or for an untrained class, naming the part
 */
export function preparePartClasses<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  { one, noun }: Pick<SequenceDomain<R, Source, Options>, 'one' | 'noun'>,
  model: TaskModel,
  task: SequenceTask<R>,
  { parts, warningsOf, metrics = tokenClassMetrics, report }: PartClasses<R>,
  { head: mode = 'auto', unknown = [], classWeights, labelSmoothing }: PartClassOptions,
  root: string,
): PreparedTask<TokenExample<R>, TokenClassScores & MetricsNamed<'loss'>> {
  const { tokenizer, data } = task;
  const isUnknown = new Set(unknown);
  const names = classesOf(definingRecords(data), parts, isUnknown, noun);
  const own = ownHead(model, tokenizer);
  const { output, labels, head } = chooseHead(model, own, names, { root, mode, attach: headOnEachToken });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const { train, validation, warnings, collate } = boundParts(
    task,
    parts,
    (record, label, part) => {
      if (isUnknown.has(String(label))) return Number.NaN;
      const number = numbers.get(String(label));
      if (number === undefined) throw unknownClass(record, parts.one, { label: String(label), part, labels });
      return number;
    },
    (tokens, dims) => ({
      labels: int64(tokens.map((number) => (Number.isNaN(number) ? UNKNOWN : number)), dims), // prettier-ignore
    }),
  );
  const known = train.targets.flat().filter((target) => !Number.isNaN(target));
  const weights = classWeights && weightsOf(classWeights, known, labels);
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data, one)],
    warnings: [...data.warnings, ...(warningsOf?.(names) ?? []), ...warnings],
    ...(head && { head }),
    collate,
    loss: (g, outputs, targets) =>
      crossEntropy(g, outputs[output]!, targets['labels']!, { labelSmoothing, weight: weights }),
    lossWeight: (targets) => weightOf(targets['labels']!.data, weights),
    metrics: () => metrics({ output, labels }),
    ...(validation && {
      report: (request) =>
        report({ tokenizer, train, validation, collate, output, labels, hasOwnHead: !head }, request),
    }),
  };
}

/** Class names, sorted by code units. */
function classesOf<R extends SequenceRecord>(
  records: readonly R[],
  { one, noun, remedy, labelsOf }: Parts<R>,
  isUnknown: ReadonlySet<string>,
  whole: string,
): readonly string[] {
  const found = new Set<string>();
  for (const record of records)
    for (const label of labelsOf(record) ?? [])
      if (label !== null && !isUnknown.has(String(label))) found.add(String(label));
  const names = [...found].sort();
  if (names.length >= 2) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    names.length === 0
      ? `No ${one} of the data has a class. ${remedy}`
      : `All ${noun} have the class "${names[0]}". A classifier needs at least two: add ${whole} with others.`,
  );
}

function unknownClass(
  { where, id }: SequenceRecord,
  one: string,
  { label, part, labels }: { readonly label: string; readonly part: number; readonly labels: readonly string[] },
): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: ${one} ${part + 1} of "${id}" has the class "${label}", but the classes of the training data are ${quotedNames(labels, 30)}. Correct it, or declare it as an unknown class (unknown: ['${label}'], --set unknown=${label}).`,
  );
}

/** Number of counted tokens, or their summed weight. */
function weightOf(classes: ArrayLike<number | bigint>, weights: readonly number[] | undefined): number {
  let sum = 0;
  for (let i = 0; i < classes.length; i++) {
    const number = Number(classes[i]);
    if (number !== UNKNOWN) sum += weights ? weights[number]! : 1;
  }
  return sum;
}
