/** @file Measures how likely a model finds answers, with the scores of those tokens alone that are asked for. */

import { int64 } from '@onnx-lora/sdk';
import { type Batch, evenlySpaced, lengthBuckets, type MeasureRequest } from '@onnx-lora/sdk/tasks';
import { PLACES, withLogitPlaces } from '@onnx-lora/sequences';
import type { ChatMetrics } from './chatMetrics.ts';
import { NOT_LEARNED, type TaughtDataset, type TaughtExample } from './taughtRows.ts';

/** Scores of a run: a quarter of a gigabyte. A vocabulary may have a hundred thousand tokens, a conversation a thousand. */
const MOST_SCORES = 2 ** 26;

/** What is measured, and with what. */
export interface ChatMeasurement {
  readonly dataset: TaughtDataset;
  readonly collate: (examples: readonly TaughtExample[]) => Promise<Batch>;
  /** Has seen nothing. */
  readonly metrics: ChatMetrics;
  /** Tokens of the vocabulary. */
  readonly size: number;
}

/** What the adapter is called. */
const ADAPTER = 'adapter';

/** The metrics of a model, alone or with an adapter. */
export async function measureChat(
  { dataset, collate, metrics, size }: ChatMeasurement,
  { model, adapter, options, batchSize, limit, examples: some, onBatch }: MeasureRequest,
): Promise<{ readonly metrics: ChatMetrics; readonly examples: number }> {
  const asked = (some ?? evenlySpaced(dataset.length)).slice(0, limit);
  const lengths = asked.map((example) => dataset.lengths[example]!);
  // What is padding is not read by tokens before it, whether the model is told or not.
  const limits = { rows: batchSize, tokens: Math.floor(MOST_SCORES / size), isPadded: true };
  const narrow = withLogitPlaces(model);
  const session = await narrow.session({ ...options, adapters: adapter ? { [ADAPTER]: adapter } : {} });
  let done = 0;
  try {
    for (const places of lengthBuckets(lengths, limits)) {
      const batch = await collate(await Promise.all(places.map((place) => dataset.get(asked[place]!))));
      const { inputs, targets } = PLACES in narrow.inputs ? atPlaces(batch) : batch;
      metrics.update(await session.run(inputs, { adapter: adapter ? ADAPTER : null }), targets);
      done += places.length;
      onBatch?.(done, asked.length);
    }
  } finally {
    await session.release();
  }
  return { metrics, examples: asked.length };
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
