/**
 * @file A training that does not learn, and how to find out why: digits rotated by 90°, with two mistakes in it. The checks are
 * those of the guide, cheapest first.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, openModel, previewLora, train } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import type { StepEvent } from '@onnx-lora/sdk/plugin';
import { imageClassification, type ImageRecord, readImageData, visionFamilies } from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

const folder = path.resolve('not-learning');
await rm(folder, { recursive: true, force: true });
await mkdir(folder);
const digits = await readDigits();
await writeDigits(path.join(folder, 'turned/train'), digits.slice(0, 400), 'turned');
await writeDigits(path.join(folder, 'turned/test'), digits.slice(-300), 'turned');
await writeDigits(path.join(folder, 'upright'), digits.slice(-300), 'upright');

const model = await openModel(fileURLToPath(new URL('../models/vit-mnist', import.meta.url)), {
  families: visionFamilies,
});
const { root, train: right, validation: heldOut = [] } = await readImageData(path.join(folder, 'turned'));
// The mistake that nobody knows of yet: each file has the label of another, as after sorting one column of a table.
const records = right.map((record, i) => ({ ...record, label: right[(i * 7 + 53) % right.length]!.label! }));

// #region run
const first = await fit(records, { lr: 1e-5, steps: 40 });
console.log(`The run:          loss ${fall(first.losses)}, accuracy ${await accuracy(first.adapter)}`);
// #endregion run

// #region preprocessing
const known = imageClassification(path.join(folder, 'upright'));
const { metrics } = await evaluate(model, { task: known });
console.log(`Preprocessing:    accuracy ${metrics['accuracy']!.toFixed(2)} on digits that the base knows`);
// #endregion preprocessing

// #region targets
const { targets, trainableParameters } = previewLora(model, { targetModules: 'all-linear' });
console.log(
  `Targets:          ${targets.length} modules, ${trainableParameters} numbers, first gradient ${first.gradNorm.toFixed(1)}`,
);
// #endregion targets

// #region overfit
const eight = await fit(spread(records, 8), { lr: 5e-3, steps: 40 });
console.log(`Eight by heart:   loss ${fall(eight.losses)}`);
// #endregion overfit

// #region rates
for (const lr of [1e-3, 5e-3]) {
  const { losses } = await fit(records, { lr, steps: 40 });
  console.log(`${`Rate ${lr}:`.padEnd(18)}loss ${fall(losses)}; guessing is ${Math.log(10).toFixed(2)}`);
}
// #endregion rates

// #region labels
for (const { file, label } of spread(records, 4)) {
  console.log(`Labels:           ${path.relative(root, file)} is called ${label}`);
}
// #endregion labels

// #region mended
const mended = await fit(right, { lr: 5e-3, steps: 60 });
console.log(`Mended:           loss ${fall(mended.losses)}, accuracy ${await accuracy(mended.adapter)}`);
// #endregion mended

/** Trains on some of the images; the loss of each step, and the norm of the first gradient. */
async function fit(
  images: readonly ImageRecord[],
  options: { readonly lr: number; readonly steps: number },
): Promise<{ losses: number[]; gradNorm: number; adapter: Adapter }> {
  const run = await train(model, {
    task: taskOf(images),
    lora: { targetModules: 'all-linear' },
    batchSize: 16,
    ...options,
  });
  const steps: StepEvent[] = [];
  for await (const event of run) if (event.type === 'step') steps.push(event);
  const { adapter } = await run.done;
  return { losses: steps.map(({ loss }) => loss), gradNorm: steps[0]!.gradNorm, adapter };
}

async function accuracy(adapter: Adapter): Promise<string> {
  return (await evaluate(model, { task: taskOf(right), adapter })).metrics['accuracy']!.toFixed(2);
}

function taskOf(images: readonly ImageRecord[]): Task {
  return imageClassification({ root, train: images, validation: heldOut });
}

function spread<Item>(items: readonly Item[], count: number): Item[] {
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

/** Where the losses begin and where they end, each as the mean of five steps. */
function fall(losses: readonly number[]): string {
  const mean = (some: readonly number[]): string => (some.reduce((a, b) => a + b) / some.length).toFixed(2);
  return `${mean(losses.slice(0, 5))} to ${mean(losses.slice(-5))}`;
}
