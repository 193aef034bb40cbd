/** @file Runs the finished adapter on held-out images, for what is learned of them and for the report. */

import type { Feeds, PreparedTask, ReportRequest, Tensor } from '@onnx-lora/sdk';
import { batchesOf } from '../batches.ts';
import type { ImageDataset, ImageExample } from './imageDataset.ts';

/** What the model with the adapter gives for one batch, and what is known of it. */
export interface HeldOutBatch {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly targets: Feeds;
}

/** The batches of a dataset, in its order. */
export async function* heldOut<Target>(
  { collate }: Pick<PreparedTask<ImageExample<Target>>, 'collate'>,
  images: ImageDataset<Target>,
  request: ReportRequest,
): AsyncGenerator<HeldOutBatch> {
  for await (const { batch } of batchesOf({ dataset: images, collate }, request.batchSize))
    yield { outputs: await request.run(batch.inputs, 'adapted'), targets: batch.targets };
}
