/** @file OUT_OF_MEMORY: a loss that repeats the scores far more often than any memory can hold. */

import { openModel, train } from '@onnx-lora/sdk';
import { withLoss } from '@onnx-lora/sdk/tasks';
import { imageClassification } from '@onnx-lora/vision';

const task = withLoss(imageClassification('photos'), (g, { logits }) =>
  g.ReduceMean(g.Expand(logits!, [1e7, 1e7, 1, 1]), [0, 1, 2, 3], false),
);
const model = await openModel('models/vit');
const run = await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 1 });
await run.done;
