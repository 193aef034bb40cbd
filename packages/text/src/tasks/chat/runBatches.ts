/** @file Runs rows of supervised fine-tuning, with logits of the learned tokens alone. */

import { type Adapter, int64, type Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  lengthBuckets,
  logSumExp,
  type MeasureRequest,
  type ReducedEvaluation,
  rowsPerRun,
} from '@onnx-lora/sdk/tasks';
import { PLACES, rowsOfFeeds, tokenOutput, withLogitPlaces } from '@onnx-lora/sequences';
import { NOT_LEARNED } from './sftRows.ts';

/** Sums over a row's learned tokens. */
export interface RowSums {
  /** Summed cross-entropy in nats. */
  readonly loss: number;
  /** Number of tokens predicted as the likeliest. */
  readonly right: number;
  readonly tokens: number;
}

/** The sums of each row, given logits `[batch, tokens, size]` and labels `[batch, tokens]`, −100 if not learned. */
export function rowSums(
  outputs: Readonly<Record<string, Tensor>>,
  { data }: Tensor,
  { output, size }: { readonly output: string; readonly size: number },
): RowSums[] {
  const scores = tokenOutput(outputs, output, size);
  return Array.from({ length: scores.rows }, (_, row) => {
    const sums = { loss: 0, right: 0, tokens: 0 };
    for (let at = 0; at < scores.tokens; at++) {
      const label = Number(data[row * scores.tokens + at]);
      if (label === NOT_LEARNED) continue;
      const own = scores.at(row, at);
      sums.loss += logSumExp(own) - own[label]!;
      if (own.every((score, id) => id === label || score < own[label]!)) sums.right++;
      sums.tokens++;
    }
    return sums;
  });
}

/** Maximum logits of a run, a quarter of a gigabyte: a vocabulary may have 100,000 tokens, a conversation 1000. */
const MOST_SCORES = 2 ** 26;

export interface RunBatches extends Pick<MeasureRequest, 'model' | 'options' | 'batchSize' | 'onBatch'> {
  /** Tokens per example, padding of its rows included. */
  readonly lengths: readonly number[];
  readonly batch: (examples: readonly number[]) => Promise<Batch>;
  /** Vocabulary size of the logits. */
  readonly size: number;
  /** Adapters to run each batch with; undefined is the base. */
  readonly adapters: readonly (Adapter | undefined)[];
}

export interface RunBatch {
  readonly examples: readonly number[];
  /** Targets of the computed columns. */
  readonly targets: Batch['targets'];
  /** Outputs for each of the adapters. */
  readonly outputs: readonly Readonly<Record<string, Tensor>>[];
}

/** Runs all examples, batched by length: always the same batches. */
export async function* runBatches({
  model,
  options,
  batchSize,
  onBatch,
  lengths,
  batch,
  size,
  adapters,
}: RunBatches): AsyncGenerator<RunBatch> {
  const narrow = withLogitPlaces(model);
  const names = adapters.map((adapter, i) => (adapter ? `adapter ${i}` : null));
  const named = adapters.flatMap((adapter, i) => (adapter ? [[names[i]!, adapter] as const] : []));
  const session = await narrow.session({ ...options, adapters: Object.fromEntries(named) });
  // Causal attention hides padding at the end, with or without a mask.
  const limits = { rows: rowsPerRun(session, batchSize), tokens: Math.floor(MOST_SCORES / size), isPadded: true };
  let done = 0;
  try {
    for (const examples of lengthBuckets(lengths, limits)) {
      const whole = await batch(examples);
      const { inputs, targets } = PLACES in narrow.inputs ? atPlaces(whole) : whole;
      const outputs: Readonly<Record<string, Tensor>>[] = [];
      for (const adapter of names) outputs.push(await session.run(inputs, { adapter }));
      yield { examples, targets, outputs };
      done += examples.length;
      onBatch?.(done, lengths.length);
    }
  } finally {
    await session.release();
  }
}

/** Splits a batch with `rows` rows per example into runs of at most `MOST_SCORES` logits of learned tokens. */
export const narrowed = (size: number, rows: number = 1): ReducedEvaluation => ({
  model: withLogitPlaces,
  batches: ({ inputs, targets }, model) => {
    const whole = PLACES in model.inputs ? atPlaces({ inputs, targets }) : { inputs, targets };
    const [total, places] = whole.targets['labels']!.dims as readonly [number, number];
    const most = Math.max(1, Math.floor(MOST_SCORES / (size * rows * Math.max(1, places))));
    const { [PLACES]: asked, ...ofRows } = whole.inputs;
    const parts: Batch[] = [];
    for (let from = 0; from < total / rows; from += most) {
      const examples = numbersFrom(from, Math.min(from + most, total / rows));
      const own = numbersFrom(from * rows, rows * (from + examples.length));
      const of = ([name, tensor]: [string, Tensor]): [string, Tensor] => [name, rowsOfFeeds({ tensor }, tensor.dims[0] === total ? own : examples)['tensor']!]; // prettier-ignore
      parts.push({
        inputs: { ...rowsOfFeeds(ofRows, own), ...(asked && { [PLACES]: asked }) },
        targets: Object.fromEntries(Object.entries(whole.targets).map(of)),
      });
    }
    return parts;
  },
});

function numbersFrom(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Restricts a batch to columns with a learned token. */
function atPlaces({ inputs, targets }: Batch): Batch {
  const { data, dims } = targets['labels']!;
  const [rows, length] = dims as readonly [number, number];
  const at = (row: number, place: number): number => Number(data[row * length + place]);
  const all = Array.from({ length: rows }, (_, row) => row);
  const places = Array.from({ length }, (_, place) => place).filter((place) =>
    all.some((row) => at(row, place) !== NOT_LEARNED),
  );
  const kept = int64(
    all.flatMap((row) => places.map((place) => at(row, place))),
    [rows, places.length],
  );
  return {
    inputs: { ...inputs, [PLACES]: int64(places, [places.length]) },
    targets: { ...targets, labels: kept },
  };
}
