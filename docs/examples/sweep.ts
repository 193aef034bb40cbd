/**
 * @file How much do the learning rate, the targets, the rank and alpha matter? Trains small adapters of two shipped models
 * over and over, one thing changed at a time, each with three seeds. Without words it is a taste of a few steps; `node
 * sweep.js digits` and `node sweep.js molecules` make the tables of the guide.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, type LoraOptions, type Model, openModel, train } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import { readSequenceData, scienceFamilies, sequenceRegression } from '@onnx-lora/science';
import { imageClassification, visionFamilies } from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

/** What is adapted to what, and how long a training is. */
interface Subject {
  readonly title: string;
  readonly model: Model;
  readonly task: Task;
  readonly metric: string;
  readonly steps: number;
}

/** What a cell of a table is about. */
type Trial = Pick<LoraOptions, 'targetModules'> & { readonly r: number; readonly alpha: number; readonly lr: number };

const usual = { r: 8, alpha: 16, lr: 3e-3 };
const targets = { 'q, v': ['query', 'value'], 'all linear': 'all-linear' } as const;
const subjects: Readonly<Record<string, () => Promise<Subject>>> = { taste, digits, molecules };
const [, , asked = 'taste'] = process.argv;
const seeds = asked === 'taste' ? [0] : [0, 1, 2];
const { title, model, task, metric, steps } = await subjects[asked]!();
// Data are read once.
const prepared = await task.prepare(model);
const same: Task = { name: task.name, prepare: () => Promise.resolve(prepared) };
console.log(`## ${title}\n`);

/** Tables have cells in common. */
const known = new Map<string, string>();
const rates = asked === 'taste' ? [1e-3, 1e-2] : [1e-4, 1e-3, 3e-3, 1e-2, 3e-2];
await table('learning rate', rates, (lr) => byTargets({ ...usual, lr }));
if (asked !== 'taste') {
  await table('r, alpha 2·r', [1, 2, 4, 8, 16], (r) => byTargets({ ...usual, r, alpha: 2 * r }));
  await table('alpha', [4, 16, 64], (alpha) =>
    [1e-3, 3e-3, 1e-2].map((lr) => [`lr ${lr}`, { ...usual, targetModules: 'all-linear', alpha, lr }]),
  );
}

function byTargets(trial: Omit<Trial, 'targetModules'>): [string, Trial][] {
  return Object.entries(targets).map(([name, targetModules]) => [name, { ...trial, targetModules }]);
}

/** Prints a row for each value: what its trials score, as the mean over the seeds, the least and the most. */
async function table(
  first: string,
  values: readonly number[],
  row: (value: number) => [string, Trial][],
): Promise<void> {
  const columns = row(values[0]!).map(([name]) => name);
  console.log(`| ${[first, ...columns].join(' | ')} |\n|${' --- |'.repeat(1 + columns.length)}`);
  for (const value of values) {
    const cells = [];
    for (const [, trial] of row(value)) cells.push(await cell(trial));
    console.log(`| ${[value, ...cells].join(' | ')} |`);
  }
  console.log('');
}

/** The mean over the seeds, the least and the most. */
async function cell(trial: Trial): Promise<string> {
  const key = JSON.stringify(trial);
  const before = known.get(key);
  if (before !== undefined) return before;
  const { lr, ...lora } = trial;
  const scores = [];
  for (const seed of seeds) {
    const options = { task: same, threads: 1 }; // several of these programs may run at a time
    const run = await train(model, { ...options, lora, lr, seed, steps, batchSize: 16, warmupSteps: 0.1 });
    const { adapter } = await run.done;
    scores.push((await evaluate(model, { ...options, adapter })).metrics[metric]!);
  }
  const mean = scores.reduce((sum, score) => sum + score) / scores.length;
  const [middle, least, most] = [mean, Math.min(...scores), Math.max(...scores)].map((score) => score.toFixed(3));
  const shown = `${middle} (${least} to ${most})`;
  known.set(key, shown);
  return shown;
}

function taste(): Promise<Subject> {
  return turnedDigits({ training: 200, test: 200, steps: 10 });
}

function digits(): Promise<Subject> {
  return turnedDigits({ training: 640, test: 500, steps: 80 });
}

/** Digits rotated by 90°, which the model was not trained on. Its head knows their classes, and stays as it is. */
async function turnedDigits(size: { training: number; test: number; steps: number }): Promise<Subject> {
  const folder = path.resolve('sweep');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const all = await readDigits();
  await writeDigits(path.join(folder, 'train'), all.slice(0, size.training), 'turned');
  await writeDigits(path.join(folder, 'test'), all.slice(-size.test), 'turned');
  return {
    title: `Turned digits: accuracy on ${size.test}, after ${size.steps} steps on ${size.training}`,
    model: await openModel(at('models/vit-mnist'), { families: visionFamilies }),
    task: imageClassification(folder),
    metric: 'accuracy',
    steps: size.steps,
  };
}

/** Solubility of molecules with scaffolds that training has not seen. A new head is trained in full beside the adapter. */
async function molecules(): Promise<Subject> {
  const data = await readSequenceData(at('data/esol/esol.csv'), { validation: 0.2, splitBy: 'scaffold' });
  return {
    title: `Solubility, ESOL: Spearman on ${data.validation!.length}, after 120 steps on ${data.train.length}`,
    model: await openModel(at('../../test/fixtures/chemberta-small'), { families: scienceFamilies }),
    task: sequenceRegression(data),
    metric: 'spearman',
    steps: 120,
  };
}

function at(file: string): string {
  return fileURLToPath(new URL(`../${file}`, import.meta.url));
}
