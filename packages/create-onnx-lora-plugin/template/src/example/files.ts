/** @file A small model of the family and data for it, made here so that tests and first steps need no download. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { linearNet, publishModel } from '@onnx-lora/testing';

const LENGTH = 8;
const [MEAN, STD] = [20, 5];

/**
 * Writes a model with random weights. Change: a small model of your architecture, built with `ModelBuilder` of
 * `@onnx-lora/testing` or exported from torch.
 * @returns the folder
 */
export function writeModel(folder: string): Promise<string> {
  return publishModel(folder, {
    model: linearNet({ inputs: LENGTH, outputs: 1 }),
    config: { model_type: '{{family}}' },
    preprocessor: { processor_class: '{{family}}', length: LENGTH, mean: MEAN, std: STD },
  });
}

/**
 * Writes files of numbers, and a table with the value of each: what the first number exceeds the last by, in units of 10.
 * @returns the table
 */
export async function writeData(folder: string, count: number): Promise<string> {
  await mkdir(path.join(folder, 'samples'), { recursive: true });
  const lines = ['path,value'];
  for (let i = 0; i < count; i++) {
    const numbers = Array.from({ length: LENGTH }, (_, k) => MEAN + STD * Math.SQRT2 * Math.sin(i * (k + 1) + k));
    const file = `samples/${i}.txt`;
    await writeFile(path.join(folder, file), `${numbers.map((number) => number.toFixed(3)).join('\n')}\n`);
    lines.push(`${file},${((numbers[0]! - numbers.at(-1)!) / 10).toFixed(4)}`);
  }
  const table = path.join(folder, 'samples.csv');
  await writeFile(table, `${lines.join('\n')}\n`);
  return table;
}
