/**
 * @file One adapter of several that were trained on other tasks: for rare digits (LoRAHub), and for two kinds at
 * once (ZipLoRA).
 */

import path from 'node:path';
import { type Adapter, combineAdapters, evaluate, train } from '@onnx-lora/sdk';
import { loraHub, type LoraHubResult, zipLora } from '@onnx-lora/methods';
import { imageClassification } from '@onnx-lora/vision';
import { type Digit, type Shift, writeDigits } from './support/digits.ts';
import { type Kind, shiftedAdapters, shifts } from './support/shiftedAdapters.ts';

const folder = 'runs/composition';
const { model, adapters, digits } = await shiftedAdapters(folder);

const few: Record<string, Record<string, string>> = {};
for (const kinds of [['turned'], ['turned', 'striped'], ['striped', 'inverted'], ['shrunken', 'striped']] as const)
  few[kinds.join(' and ')] = await byFewExamples(kinds);
console.table(few);

const pairs: Record<string, Record<string, string>> = {};
for (const [one, other] of [
  ['turned', 'inverted'],
  ['turned', 'striped'],
  ['inverted', 'striped'],
  ['shrunken', 'striped'],
] as const)
  pairs[`${one}, ${other}`] = await together(one, other);
console.table(pairs);

/** Accuracies on digits with all these shifts at once, two of each. */
async function byFewExamples(kinds: readonly Shift[]): Promise<Record<string, string>> {
  const data = path.join(folder, 'few', kinds.join('-'));
  await writeDigits(path.join(data, 'train'), twoOfEach(digits.slice(4000)), kinds);
  await writeDigits(path.join(data, 'test'), digits.slice(8000, 8500), kinds);
  const task = imageClassification(data);
  // #region hub
  const found: LoraHubResult[] = [];
  for (const seed of [0, 1, 2]) found.push(await loraHub(model, { adapters, task, seed }));
  const { adapter, weights } = found.sort((a, b) => a.loss - b.loss)[0]!;
  // #endregion hub
  const lora = { r: 8, loraAlpha: 16, targetModules: 'all-linear' as const };
  const run = await train(model, { task, lora, steps: 40, batchSize: 20, lr: 5e-3, schedule: 'cosine' });
  const alone: number[] = [];
  for (const shift of shifts) alone.push(await accuracy(data, adapters[shift]));
  return {
    base: percent(await accuracy(data)),
    'best of the four': percent(Math.max(...alone)),
    LoRAHub: percent(await accuracy(data, adapter)),
    'a LoRA of 40 steps': percent(await accuracy(data, (await run.done).adapter)),
    weights: shifts.map((shift) => weights[shift]!.toFixed(2)).join(' '),
  };
}

/** Accuracies of one adapter for two kinds. */
async function together(one: Kind, other: Kind): Promise<Record<string, string>> {
  const parts = (weight: number): { adapter: Adapter; weight: number }[] =>
    [one, other].map((kind) => ({ adapter: adapters[kind], weight }));
  const ways: Record<string, Adapter> = {
    sum: combineAdapters(parts(1), { method: 'linear' }),
    '0.7 of each': combineAdapters(parts(0.7), { method: 'linear' }),
    TIES: combineAdapters(parts(1), { method: 'ties', density: 0.2, rank: 16 }),
    ZipLoRA: await zipped(one, other),
  };
  const scores: Record<string, string> = {};
  for (const [way, adapter] of Object.entries(ways)) {
    const both = [await accuracy(path.join(folder, one), adapter), await accuracy(path.join(folder, other), adapter)];
    scores[way] = both.map(percent).join(', ');
  }
  return scores;
}

// #region zip
function zipped(one: Kind, other: Kind): Promise<Adapter> {
  return zipLora(model, [
    { adapter: adapters[one], task: imageClassification(path.join(folder, one)) },
    { adapter: adapters[other], task: imageClassification(path.join(folder, other)) },
  ]);
}
// #endregion zip

async function accuracy(data: string, adapter?: Adapter): Promise<number> {
  const { metrics } = await evaluate(model, { task: imageClassification(data), ...(adapter ? { adapter } : {}) });
  return metrics['accuracy']!;
}

function twoOfEach(all: readonly Digit[]): Digit[] {
  return Array.from({ length: 10 }, (_, label) => all.filter((each) => each.label === label).slice(0, 2)).flat();
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
