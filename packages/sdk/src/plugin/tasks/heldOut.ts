/** @file Runs the finished adapter on held-out examples, for what is learned of them and for the report. */

import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { ReportRequest } from '../preparedTask.ts';
import { batchesOf, type BatchSource } from './batches.ts';

/** What the model with the adapter gives for one batch, and what is known of it. */
export interface HeldOutBatch {
  /** The model's outputs by name, `[batch, …]`. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** What `collate` gave beside the feeds. */
  readonly targets: Feeds;
}

/** The batches of a dataset, in its order. */
export async function* heldOut<Example>(
  source: BatchSource<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): AsyncGenerator<HeldOutBatch> {
  for await (const { batch } of batchesOf(source, request.batchSize))
    yield { outputs: await request.run(batch.inputs, 'adapted'), targets: batch.targets };
}
