/** @file The tutorial "Your images" as a program: parts before a camera, sorted by an adapter that has seen them turned every way. */

import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { horizontalFlip, imageClassification, rotate90, visionFamilies } from '@onnx-lora/vision';
import { makeParts } from './support/parts.ts';

await makeParts('parts');
await rm('parts-adapter', { recursive: true, force: true });
const folder = fileURLToPath(new URL('../models/vit-mnist', import.meta.url));

// #region train
const model = await openModel(folder, { families: visionFamilies });
const task = imageClassification('parts', {
  validation: 0.25,
  augment: [rotate90(), horizontalFlip()],
});
const run = await train(model, {
  task,
  lora: { r: 8, targetModules: 'all-linear' },
  steps: 160,
  batchSize: 16,
  lr: 5e-3,
});
const { adapter } = await run.done;
const { metrics, examples } = await evaluate(model, { task, adapter });
console.log(`accuracy ${metrics['accuracy']} of ${examples}, loss ${metrics['loss']}`);
await adapter.save('parts-adapter');
// #endregion train
