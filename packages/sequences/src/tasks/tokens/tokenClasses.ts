/** @file Token classification: a class per part of a sequence, such as a residue or a word. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Batch,
  chooseHead,
  type ClassWeighting,
  crossEntropy,
  listed,
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

/** Options of tasks with a class for each part. */
export interface PartClassOptions extends TokenOptions, Pick<SequenceHeadOptions, 'head'> {
  /** Labels that stand for parts of which nothing is known, such as X: they count neither in the loss nor in the metrics. */
  readonly unknown?: readonly string[] | undefined;
  /** How much each class counts in the loss; all the same by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** How much of a label is spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
}

/** What a report of classes of parts is made from. */
export interface PartReportOptions<R extends SequenceRecord> extends TokenMetricsOptions {
  /** The model's tokenizer. */
  readonly tokenizer: SequenceTokenizer;
  /** What was trained on. */
  readonly train: SequenceDataset<readonly number[], R>;
  /** What is held out. */
  readonly validation: SequenceDataset<readonly number[], R>;
  /** Makes batches of them. */
  readonly collate: (examples: readonly TokenExample<R>[]) => Promise<Batch>;
  /** Whether the base can answer too. */
  readonly hasOwnHead: boolean;
}

/** What is a domain's own. */
export interface PartClasses<R extends SequenceRecord> {
  /** What is answered about. */
  readonly parts: Parts<R>;
  /** Warnings about classes. */
  readonly warningsOf?: (classes: readonly string[]) => readonly string[];
  /** What is measured; {@link tokenClassMetrics} by default. */
  readonly metrics?: (options: TokenMetricsOptions) => MetricCollector<TokenClassScores & MetricsNamed<'loss'>>;
  /** What the report shows. */
  readonly report: (options: PartReportOptions<R>, request: ReportRequest) => Promise<readonly ReportSection[]>;
}

/**
 * Prepares a task of classes of parts whose data were opened. Targets are `{ labels: int64 [batch, tokens] }`, −100 for what does not
 * count.
 * @param root what the data is called
 * @throws OnnxLoraError `DATA_INVALID` for data without two classes, and of a class that is not trained on, naming the part
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

/** The classes, sorted by code units. */
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
    `${where}: ${one} ${part + 1} of "${id}" has the class "${label}", which is none of those that are trained on: ${listed(labels, 30)}. Correct it; or name it as one that stands for ${one}s of which nothing is known (unknown: ['${label}'], --set unknown=${label}).`,
  );
}

/** The number of counted tokens, or their summed weight. */
function weightOf(classes: ArrayLike<number | bigint>, weights: readonly number[] | undefined): number {
  let sum = 0;
  for (let i = 0; i < classes.length; i++) {
    const number = Number(classes[i]);
    if (number !== UNKNOWN) sum += weights ? weights[number]! : 1;
  }
  return sum;
}
