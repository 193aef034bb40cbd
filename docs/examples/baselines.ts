/**
 * @file What does an adapter buy? The same held-out images answered by nearest neighbours and by a linear probe on frozen
 * features, and by the adapted model. `node baselines.js FOLDER MODEL` does it on images of your own, in class folders or
 * with a manifest; without words it is rotated digits.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import {
  frozenBaselines,
  imageClassification,
  imageEmbeddings,
  type ImageRecord,
  type LabelledEmbeddings,
  readImageData,
  visionFamilies,
} from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

const [folder = await turnedDigits(), source = fileURLToPath(new URL('../models/vit-mnist', import.meta.url))] =
  process.argv.slice(2);
const model = await openModel(source, { families: visionFamilies });
const { root, train: training, validation, test = validation } = await readImageData(folder);
if (!test) throw new Error(`"${folder}" holds no images out: give it a folder or a split "test".`);

// 1. Frozen features: one vector per image, and what they give without any training of the model.
const began = performance.now();
const { knn, linearProbe } = frozenBaselines({ train: await embedded(training), validation: await embedded(test) });
const frozenSeconds = (performance.now() - began) / 1000;

// 2. The adapter, with the same training images and the same held-out ones.
const task = imageClassification({ root, train: training, validation: test });
const run = await train(model, {
  task,
  lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
  steps: 100,
  batchSize: 16,
  lr: 5e-3,
});
const { adapter, seconds } = await run.done;
const { metrics } = await evaluate(model, { task, adapter });

console.log(`${training.length} training images, ${test.length} held out\n`);
print('k nearest neighbours', knn.accuracy, `k = ${knn.k}`);
print('linear probe', linearProbe.accuracy, `C = ${linearProbe.C}; both in ${frozenSeconds.toFixed(1)} s`);
print(
  'LoRA',
  metrics['accuracy']!,
  `${adapter.parameterCount.toLocaleString('en')} parameters, ${seconds.toFixed(1)} s`,
);

async function embedded(records: readonly ImageRecord[]): Promise<LabelledEmbeddings> {
  return {
    embeddings: await imageEmbeddings(
      model,
      records.map(({ file }) => file),
    ),
    labels: records.map(({ label = '' }) => label),
  };
}

function print(method: string, accuracy: number, note: string): void {
  console.log(`${method.padEnd(22)}${`${(100 * accuracy).toFixed(1)}%`.padStart(6)}   ${note}`);
}

/** Digits rotated by 90°, which the model was not trained on. */
async function turnedDigits(): Promise<string> {
  const made = path.resolve('baselines');
  await rm(made, { recursive: true, force: true });
  await mkdir(made);
  const digits = await readDigits();
  await writeDigits(path.join(made, 'train'), digits.slice(0, 500), 'turned');
  await writeDigits(path.join(made, 'test'), digits.slice(8000, 8300), 'turned');
  return made;
}
