/**
 * @file Four adapters for four kinds of digits, and one mixture of them that answers all kinds without being told which.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, openModel, train } from '@onnx-lora/sdk';
import { methodsPlugin, mixtureOf, onlyBest } from '@onnx-lora/methods';
import { imageClassification, visionFamilies } from '@onnx-lora/vision';
import { readDigits, type Shift, writeDigits } from './support/digits.ts';

const folder = 'runs/mixture';
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const shifts = ['turned', 'inverted', 'shrunken', 'striped'] as const satisfies readonly Shift[];
const digits = await readDigits();
for (const [i, shift] of shifts.entries()) {
  await writeDigits(path.join(folder, shift, 'train'), digits.slice(1000 * i, 1000 * (i + 1)), shift);
  await writeDigits(path.join(folder, shift, 'test'), digits.slice(8000, 8500), shift);
  // What the router learns on is a little of each.
  await writeDigits(path.join(folder, 'all'), digits.slice(4000 + 1000 * i, 4000 + 1000 * (i + 1)), shift, 1000 * i);
}

// #region adapters
const models = fileURLToPath(new URL('../models/vit-mnist', import.meta.url));
const model = await openModel(models, { families: visionFamilies, plugins: [methodsPlugin] });
const adapters: Record<string, Adapter> = {};
for (const shift of shifts) {
  const task = imageClassification(path.join(folder, shift));
  const lora = { r: 8, alpha: 16, targetModules: 'all-linear' as const };
  adapters[shift] = (await (await train(model, { task, lora, steps: 200, lr: 5e-3, schedule: 'cosine' })).done).adapter;
}
// #endregion adapters

// #region mixtures
const arrow = mixtureOf(adapters, { topK: 2 });
const from = mixtureOf(adapters, { router: 'xlora', hiddenSize: 96 });
const routing = await train(model, { task: imageClassification(path.join(folder, 'all')), from, steps: 600, lr: 1e-2 });
const mixture = onlyBest((await routing.done).adapter);
// #endregion mixtures
const all = Object.fromEntries(await Promise.all(shifts.map(async (shift) => [shift, await accuracies(shift)])));
console.table(all);

async function accuracies(shift: Shift): Promise<Record<string, string>> {
  const task = imageClassification(path.join(folder, shift));
  const of = async (adapter?: Adapter): Promise<string> => {
    const { metrics } = await evaluate(model, { task, ...(adapter ? { adapter } : {}) });
    return `${(100 * metrics['accuracy']!).toFixed(1)}%`;
  };
  return { base: await of(), own: await of(adapters[shift]), arrow: await of(arrow), mixture: await of(mixture) };
}
