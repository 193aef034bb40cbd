/** @file The report's comparison of LoRA with baselines on embeddings of the frozen base. */

import {
  type Batch,
  batchesOf,
  featureTensor,
  type ReportRequest,
  type ReportSection,
  takeRows,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../record.ts';
import type { SequenceDataset, SequenceExample } from '../tasks/sequenceTask.ts';
import {
  baselinesIn,
  type BaselinesRequest,
  type Comparison,
  frozenBaselines,
  type SequenceBaselines,
} from '../baselines/frozenBaselines.ts';

/** Name of the value that gives embeddings: hidden states of tokens, or the head's input; undefined without one. */
export function hiddenOutput(model: TaskModel): string | undefined {
  return model.outputs['last_hidden_state'] ? 'last_hidden_state' : model.featuresOf?.('logits')?.name;
}

/** Option of the report's comparison with baselines. */
export interface BaselineOptions {
  /** Compares LoRA with baselines in reports, for a base pass (at most 5,000 training sequences); true by default. */
  readonly baselines?: boolean | undefined;
}

/** Input of {@link frozenEmbeddings}. */
export interface FrozenRequest<Target, R extends SequenceRecord = SequenceRecord> {
  /** Dataset of the sequences. */
  readonly dataset: SequenceDataset<Target, R>;
  /** Makes batches of the dataset. */
  readonly collate: (examples: readonly SequenceExample<Target, R>[]) => Promise<Batch>;
  /** Name of the hidden states among the task's outputs. */
  readonly hidden: string;
  /** Record indices; all by default. */
  readonly records?: readonly number[] | undefined;
}

/**
 * Mean embeddings `[records, width]` over tokens and windows, without special tokens and padding.
 * @throws OnnxLoraError `INPUT_INVALID` unless `hidden` is float32 `[batch, tokens, width]` or `[batch, width]`
 */
export async function frozenEmbeddings<Target, R extends SequenceRecord>(
  { dataset, collate, hidden, records }: FrozenRequest<Target, R>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<Matrix> {
  const rows = new Map((records ?? [...dataset.records.keys()]).map((record, row) => [record, row]));
  const wanted = dataset.recordOf.flatMap((record, example) => (rows.has(record) ? [example] : []));
  let sums: Matrix | undefined;
  const counts = new Float64Array(rows.size);
  for await (const { examples, batch } of batchesOf(
    { dataset, collate },
    request.batchSize,
    byLength(wanted, dataset),
  )) {
    const { data, dims } = featureTensor(await request.run(batch.inputs, 'base'), hidden, [2, 3]);
    const width = dims.at(-1)!;
    sums ??= matrix(rows.size, width);
    const tokens = dims.length === 3 ? dims[1]! : 1;
    for (const [i, { index, record, row }] of examples.entries()) {
      const at = rows.get(index)!;
      // For a pair, both sequences and their separator.
      const end = record.second === undefined ? row.at + row.count : row.ids.length - 1;
      const [from, to] = dims.length === 3 ? [row.at, end] : [0, 1];
      counts[at]! += to - from;
      for (let token = from; token < to; token++) {
        const start = (i * tokens + token) * width;
        for (let j = 0; j < width; j++) sums.data[at * width + j]! += data[start + j]!;
      }
    }
  }
  const found = sums ?? matrix(rows.size, 0);
  return { ...found, data: found.data.map((sum, i) => sum / (counts[Math.floor(i / found.columns)]! || 1)) };
}

/** Sorts by length, to save padding. */
function byLength(examples: readonly number[], { lengths }: SequenceDataset<unknown>): readonly number[] {
  return examples.toSorted((a, b) => lengths[a]! - lengths[b]!);
}

/** Input of {@link frozenSections}. */
export interface FrozenSectionsRequest<Target, R extends SequenceRecord = SequenceRecord> {
  readonly hidden: string;
  readonly train: SequenceDataset<Target, R>;
  readonly validation: SequenceDataset<Target, R>;
  readonly collate: (examples: readonly SequenceExample<Target, R>[]) => Promise<Batch>;
  readonly seed: number;
  readonly onSequences?: SequenceBaselines | undefined;
  /** One comparison table each. */
  readonly questions: readonly FrozenQuestion<Target>[];
}

/** A predicted target of every record. */
export interface FrozenQuestion<Target> extends Pick<BaselinesRequest, 'kind' | 'outputs' | 'thresholds'> {
  readonly name?: string | undefined;
  /** Target of a record; NaN or undefined if unknown. */
  readonly targetOf: (target: Target) => number | readonly number[] | undefined;
  /** The adapter's predictions `[records, outputs]`. */
  readonly adapted: ArrayLike<number>;
}

/** Most training embeddings; above, a sample. */
const MOST_TRAINED = 5000;

/** A table per question; none with fewer than two training or validation sequences. */
export async function frozenSections<Target, R extends SequenceRecord>(
  { hidden, train, validation, collate, seed, onSequences, questions }: FrozenSectionsRequest<Target, R>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<readonly ReportSection[]> {
  const all = train.records.length;
  const chosen = new Random(seed).permutation(all).slice(0, MOST_TRAINED).sort((a, b) => a - b); // prettier-ignore
  const trained = await frozenEmbeddings({ dataset: train, collate, hidden, records: chosen }, request);
  const held = await frozenEmbeddings({ dataset: validation, collate, hidden }, request);
  return questions.flatMap(({ name, targetOf, adapted, ...question }) => {
    const outputs = question.outputs ?? 1;
    const known = (dataset: SequenceDataset<Target, R>, record: number): readonly number[] | undefined => {
      const target = targetOf(dataset.targets[record]!);
      const list = typeof target === 'number' ? [target] : target;
      return list?.some(Number.isNaN) ? undefined : list;
    };
    const part = (dataset: SequenceDataset<Target, R>, records: readonly number[]) => {
      const kept = records.flatMap((record, row) => (known(dataset, record) ? [{ record, row }] : []));
      return {
        kept,
        targets: kept.flatMap(({ record }) => known(dataset, record)!),
        sequences: kept.map(({ record }) => {
          const { sequence, second } = dataset.records[record]!;
          return second === undefined ? sequence : `${sequence} ${second}`;
        }),
      };
    };
    const [own, other] = [part(train, chosen), part(validation, [...validation.records.keys()])];
    if (own.kept.length < 2 || other.kept.length < 2) return [];
    const rowsOf = (kept: typeof own.kept): number[] => kept.map(({ row }) => row);
    const comparison = frozenBaselines({
      ...question,
      train: { ...own, embeddings: takeRows(trained, rowsOf(own.kept)) },
      validation: { ...other, embeddings: takeRows(held, rowsOf(other.kept)) },
      adapted: other.kept.flatMap(({ row }) => Array.from({ length: outputs }, (_, i) => adapted[row * outputs + i]!)),
      onSequences,
      seed,
    });
    const section = comparisonSection(comparison, name);
    const some =
      chosen.length < all ? ` The baselines were fitted on ${chosen.length} of ${all} training examples.` : '';
    return [{ ...section, text: `${section.text}${some}` }];
  });
}

/** Table of the metrics per method with their intervals, and the verdict. */
export function comparisonSection({ sequences, methods, verdict }: Comparison, name?: string): ReportSection {
  const metrics = Object.keys(methods[0]!.metrics);
  return {
    kind: 'table',
    title: name === undefined ? 'LoRA against baselines' : `LoRA against baselines: ${name}`,
    baselines: baselinesIn(methods),
    text: `${verdict ? `${verdict.text} ` : ''}In brackets: intervals that hold the metric with a probability of 95% (bootstrap over ${sequences} held-out examples); they do not tell how it varies from one training to the next. All were tuned on the training data alone.`,
    columns: ['method', ...metrics, 'chosen'],
    rows: methods.map((each) => [each.method, ...metrics.map((metric) => cell(each, metric)), each.chosen]),
  };
}

function cell({ metrics, intervals }: Comparison['methods'][number], metric: string): string {
  const value = metrics[metric]!;
  if (Number.isNaN(value)) return '–';
  const interval = intervals[metric];
  // Errors have the data's units; other metrics are about 1.
  const shown = (each: number): string =>
    String(Number(metric === 'rmse' ? each.toPrecision(3) : each.toFixed(3))).replace('-', '−');
  return interval ? `${shown(value)} (${shown(interval[0])} to ${shown(interval[1])})` : shown(value);
}
