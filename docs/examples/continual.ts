/**
 * @file Five kinds of digits learned one after the other by one adapter: what is left of each at the end, with and without what
 * keeps earlier tasks. `node dist/continual.js [SEED]…` tries all ways to keep them.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openModel } from '@onnx-lora/sdk';
import { continual, type ContinualMethod, methodsPlugin } from '@onnx-lora/methods';
import { imageClassification, visionFamilies } from '@onnx-lora/vision';
import { readDigits, type Shift, writeDigits } from './support/digits.ts';

const folder = 'runs/continual';
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const shifts = ['turned', 'inverted', 'mirrored', 'shrunken', 'flipped'] as const satisfies readonly Shift[];
const digits = await readDigits();
for (const [i, shift] of shifts.entries()) {
  await writeDigits(path.join(folder, shift, 'train'), digits.slice(1000 * i, 1000 * (i + 1)), shift);
  await writeDigits(path.join(folder, shift, 'test'), digits.slice(8000, 8300), shift);
}

const models = fileURLToPath(new URL('../models/vit-mnist', import.meta.url));
const seeds = process.argv.slice(2).map(Number);
const methods: readonly ContinualMethod[] =
  seeds.length > 0
    ? ['sequential', 'replay', 'o-lora', 'inf-lora', 'ewc', 'merge', 'sd-lora']
    : ['sequential', 'replay'];
const percent = (score: number): string => `${(100 * score).toFixed(1)}%`;
for (const seed of seeds.length > 0 ? seeds : [1]) {
  const table: Record<string, Record<string, string>> = {};
  for (const method of methods) {
    // #region continual
    const model = await openModel(models, { families: visionFamilies, plugins: [methodsPlugin] });
    const { scores, average, forgetting } = await continual(model, {
      tasks: Object.fromEntries(shifts.map((shift) => [shift, imageClassification(path.join(folder, shift))])),
      method,
      lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
      replayExamples: 100,
      steps: 120,
      lr: 3e-3,
      seed,
    });
    // #endregion continual
    const last = Object.fromEntries(shifts.map((shift, i) => [shift, percent(scores.at(-1)![i]!)]));
    table[method] = { ...last, average: percent(average), forgetting: percent(forgetting) };
    console.log(`seed ${seed}, ${method}: average ${percent(average)}, forgetting ${percent(forgetting)}`);
  }
  console.table(table);
}
