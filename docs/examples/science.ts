/**
 * @file What does an adapter buy for proteins and molecules? A class, a fitness and a solubility, each learned by LoRA and by
 * methods that leave the model alone, measured on the same held-out sequences with 95% intervals. Without words it is a few
 * steps of each; `node science.js full` makes the tables of science.md, and `node science.js full families` the first.
 */

import { fileURLToPath } from 'node:url';
import { openModel, type TrainOptions } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import {
  readSequenceData,
  scienceFamilies,
  type SequenceData,
  type SequenceDataOptions,
  sequenceClassification,
  sequenceRegression,
} from '@onnx-lora/science';
import { compared } from './support/compare.ts';

const isFull = process.argv[2] === 'full';
const asked = process.argv.slice(3);
const at = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
const esm = at('models/esm2-tiny');
const molecules = at('../../test/fixtures/chemberta-small');

interface Experiment {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  readonly task: () => Promise<Task>;
  readonly options: Omit<TrainOptions, 'task'>;
}

const options = { lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' }, warmupSteps: 0.1 } as const;
const experiments: readonly Experiment[] = [
  {
    id: 'families',
    name: 'Five protein families (ESM-2 of 1.2 million parameters)',
    model: esm,
    // Relatives are on both sides of the split that the file has: here those that are half alike stay together.
    task: async () => {
      const { train, validation = [], test = [] } = await readSequenceData(at('data/proteins/families.csv'));
      const all = [...train, ...validation, ...test].map((record) => {
        const { split: _, ...rest } = record;
        return rest;
      });
      const how = { validation: 0.3, splitBy: 'cluster', identity: 0.5 } as const;
      return sequenceClassification(await readSequenceData(all, how), { maxLength: 160 });
    },
    options: { ...options, epochs: 10, lr: 2e-3, batchSize: 8 },
  },
  // Only the first 56 residues are GB1; what follows is the same in all variants.
  ...(['two_vs_rest', 'low_vs_high', 'sampled'] as const).map((split) => ({
    id: split as string,
    name: `Fitness of GB1, split ${split} of FLIP (the same ESM-2)`,
    model: esm,
    task: async () => sequenceRegression(await some('gb1/gb1.csv', { columns: { split } }), { maxLength: 58 }),
    options: { ...options, epochs: split === 'two_vs_rest' ? 40 : 15, lr: 1e-3, batchSize: 16 },
  })),
  {
    id: 'solubility',
    name: 'Solubility of molecules, ESOL, split by scaffolds (a ChemBERTa of 0.3 million parameters)',
    model: molecules,
    task: async () => sequenceRegression(await some('esol/esol.csv', { validation: 0.2, splitBy: 'scaffold' })),
    options: { ...options, epochs: 10, lr: 2e-3, batchSize: 16 },
  },
];

const chosen = isFull ? experiments : experiments.filter(({ id }) => id !== 'low_vs_high' && id !== 'sampled');
for (const { id, name, model, task, options: own } of chosen) {
  if (asked.length > 0 && !asked.includes(id)) continue;
  const opened = await openModel(model, { families: scienceFamilies });
  const tables = await compared(opened, await task(), isFull ? own : { ...own, steps: 6 });
  console.log(`## ${name}\n`);
  for (const { columns, rows, text } of tables) {
    console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => ' --- |').join('')}`);
    for (const row of rows) console.log(`| ${row.join(' | ')} |`);
    console.log(`\n${text ?? ''}\n`);
  }
}

/** Up to 1,500 records to train on and as many to measure on, evenly spaced; of the full data all parts but that for validation. */
async function some(file: string, how: SequenceDataOptions): Promise<SequenceData> {
  const { test, ...data } = await readSequenceData(at(`data/${file}`), how);
  const most = isFull ? 1500 : 150;
  return { ...data, train: spread(data.train, most), validation: spread(test ?? data.validation!, most) };
}

function spread<Item>(items: readonly Item[], most: number): Item[] {
  const count = Math.min(items.length, most);
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}
