/** @file A small model of the family and data for it, made here so that tests and first steps need no download. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { linearNet, publishModel } from '@onnx-lora/testing';

const LENGTH = 8;
const [MEAN, STD] = [20, 5];
const LABELS = ['falling', 'level', 'rising'] as const;

/**
 * Writes a model with random weights, which knows the labels. Change: a small model of your architecture, built with
 * `ModelBuilder` of `@onnx-lora/testing` or exported from torch.
 * @returns the folder
 */
export function writeModel(folder: string): Promise<string> {
  return publishModel(folder, {
    model: linearNet({ inputs: LENGTH, outputs: LABELS.length }),
    config: { model_type: '{{family}}', id2label: Object.fromEntries(LABELS.entries()) },
    preprocessor: { processor_class: '{{family}}', length: LENGTH, mean: MEAN, std: STD },
  });
}

/**
 * Writes files of numbers that fall, stay level or rise, more or less, and a table that says which do what.
 * @returns the table
 */
export async function writeData(folder: string, count: number): Promise<string> {
  await mkdir(path.join(folder, 'samples'), { recursive: true });
  const lines = ['path,label'];
  for (let i = 0; i < count; i++) {
    const target = i % LABELS.length;
    const numbers = Array.from({ length: LENGTH }, (_, k) => {
      const trend = (target - 1) * ((2 * k) / (LENGTH - 1) - 1);
      return MEAN + STD * (trend + Math.sin(i * (k + 1) + k) / 2);
    });
    const file = `samples/${i}.txt`;
    await writeFile(path.join(folder, file), `${numbers.map((number) => number.toFixed(3)).join('\n')}\n`);
    lines.push(`${file},${LABELS[target]}`);
  }
  const table = path.join(folder, 'samples.csv');
  await writeFile(table, `${lines.join('\n')}\n`);
  return table;
}
