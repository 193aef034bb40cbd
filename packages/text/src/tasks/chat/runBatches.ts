/** @file Runs rows of supervised fine-tuning, with logits of the learned tokens alone. */

import { type Adapter, int64, type Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  lengthBuckets,
  logSumExp,
  type MeasureRequest,
  type Narrowed,
  rowsPerRun,
} from '@onnx-lora/sdk/tasks';
import { PLACES, rowsOfFeeds, tokenOutput, withLogitPlaces } from '@onnx-lora/sequences';
import { NOT_LEARNED } from './sftRows.ts';

/** What the learned tokens of a row come to. */
export interface RowSums {
  /** Their cross-entropies together, in nats. */
  readonly loss: number;
  /** How many are the likeliest where they stand. */
  readonly right: number;
  /** How many there are. */
  readonly tokens: number;
}

/**
 * The sums of each row of a batch, given logits `[batch, tokens, size]` and the next tokens `[batch, tokens]`, −100 where nothing is
 * learned.
 */
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

/** Scores of a run: a quarter of a gigabyte. A vocabulary may have a hundred thousand tokens, a conversation a thousand. */
const MOST_SCORES = 2 ** 26;

/** What is run. */
export interface RunBatches extends Pick<MeasureRequest, 'model' | 'options' | 'batchSize' | 'onBatch'> {
  /** Tokens that each example takes in a batch. */
  readonly lengths: readonly number[];
  /** Makes a batch of examples by their numbers. */
  readonly batch: (examples: readonly number[]) => Promise<Batch>;
  /** Tokens of the vocabulary. */
  readonly size: number;
  /** With which each batch is run; undefined is the model alone. */
  readonly adapters: readonly (Adapter | undefined)[];
}

/** A batch that was run. */
export interface RunBatch {
  /** Numbers of its examples. */
  readonly examples: readonly number[];
  /** Of the columns that were asked for. */
  readonly targets: Batch['targets'];
  /** What the model gives with each of the adapters. */
  readonly outputs: readonly Readonly<Record<string, Tensor>>[];
}

/** Runs all examples, those of about one length together: the same ones always in the same batches. */
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
  // What is padded is not read by tokens before it, whether the model is told or not.
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

/**
 * What is run to measure a batch during training: as many examples at once as have so many scores, with the tokens that are learned.
 * @param rows that an example has
 */
export const narrowed = (size: number, rows: number = 1): Narrowed => ({
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

/** The batch of which only those columns are asked for in which some row learns. */
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
