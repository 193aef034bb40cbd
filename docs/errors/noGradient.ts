/** @file NO_GRADIENT: a loss of an operator without a gradient. */

import { openModel, train } from '@onnx-lora/sdk';
import { withLoss } from '@onnx-lora/sdk/tasks';
import { imageClassification } from '@onnx-lora/vision';

const task = withLoss(imageClassification('photos'), (g, { logits }) =>
  g.emit('Det', [g.MatMul(g.Transpose(logits!, [1, 0]), logits!)]),
);
const model = await openModel('models/vit');
const run = await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 1 });
await run.done;
