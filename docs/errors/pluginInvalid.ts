/** @file PLUGIN_INVALID: a loss that is no scalar. */

import { openModel, train } from '@onnx-lora/sdk';
import { withLoss } from '@onnx-lora/sdk/tasks';
import { imageClassification } from '@onnx-lora/vision';

const task = withLoss(imageClassification('photos'), (g, { logits }) => g.Softmax(logits!, -1));
const model = await openModel('models/vit');
const run = await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 1 });
await run.done;
