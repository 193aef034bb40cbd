/** @file Measures how likely a model finds answers. */

import { type Batch, evenlySpaced, type MeasureRequest } from '@onnx-lora/sdk/tasks';
import type { ChatMetrics } from './chatMetrics.ts';
import { runBatches } from './runBatches.ts';
import type { TaughtDataset, TaughtExample } from './taughtRows.ts';

/** What is measured, and with what. */
export interface ChatMeasurement {
  readonly dataset: TaughtDataset;
  readonly collate: (examples: readonly TaughtExample[]) => Promise<Batch>;
  /** Has seen nothing. */
  readonly metrics: ChatMetrics;
  /** Tokens of the vocabulary. */
  readonly size: number;
}

/** The metrics of a model, alone or with an adapter. */
export async function measureChat(
  { dataset, collate, metrics, size }: ChatMeasurement,
  { adapter, limit, examples: some, ...request }: MeasureRequest,
): Promise<{ readonly metrics: ChatMetrics; readonly examples: number }> {
  const asked = (some ?? evenlySpaced(dataset.length)).slice(0, limit);
  const lengths = asked.map((example) => dataset.lengths[example]!);
  const batch = async (places: readonly number[]): Promise<Batch> =>
    collate(await Promise.all(places.map((place) => dataset.get(asked[place]!))));
  for await (const { outputs, targets } of runBatches({ ...request, lengths, batch, size, adapters: [adapter] }))
    metrics.update(outputs[0]!, targets);
  return { metrics, examples: asked.length };
}
