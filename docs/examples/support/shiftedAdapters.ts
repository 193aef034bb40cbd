/** @file A model that reads upright digits, and an adapter for each of four other kinds. */

import { rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, type Model, openModel, train } from '@onnx-lora/sdk';
import { methodsPlugin } from '@onnx-lora/methods';
import { imageClassification, visionPlugin } from '@onnx-lora/vision';
import { type Digit, readDigits, type Shift, writeDigits } from './digits.ts';

/** Training data of an adapter. */
export type Kind = Extract<Shift, 'turned' | 'inverted' | 'shrunken' | 'striped'>;

/** All of them. */
export const shifts: readonly Kind[] = ['turned', 'inverted', 'shrunken', 'striped'];

/** Result of {@link shiftedAdapters}. */
export interface ShiftedAdapters {
  readonly model: Model;
  /** By their kinds. */
  readonly adapters: Readonly<Record<Kind, Adapter>>;
  /** All digits: the adapters were trained on the first 4,000, and the last 2,000 are new to the model. */
  readonly digits: readonly Digit[];
}

/** Writes 1,000 digits of each kind to `<folder>/<kind>/train` and 500 to `test`, and trains an adapter on each. */
export async function shiftedAdapters(folder: string): Promise<ShiftedAdapters> {
  await rm(folder, { recursive: true, force: true });
  const digits = await readDigits();
  const models = fileURLToPath(new URL('../../models/vit-mnist', import.meta.url));
  const model = await openModel(models, { plugins: [visionPlugin, methodsPlugin] });
  const adapters: Partial<Record<Kind, Adapter>> = {};
  for (const [i, shift] of shifts.entries()) {
    await writeDigits(path.join(folder, shift, 'train'), digits.slice(1000 * i, 1000 * (i + 1)), shift);
    await writeDigits(path.join(folder, shift, 'test'), digits.slice(8000, 8500), shift);
    const task = imageClassification(path.join(folder, shift));
    const lora = { r: 8, loraAlpha: 16, targetModules: 'all-linear' as const };
    const run = await train(model, { task, lora, steps: 200, lr: 5e-3, schedule: 'cosine' });
    adapters[shift] = (await run.done).adapter;
  }
  return { model, adapters: adapters as ShiftedAdapters['adapters'], digits };
}
