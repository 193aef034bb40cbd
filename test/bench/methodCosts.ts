/** @file Cost of a training step by each method of `@onnx-lora/methods`, as a multiple of LoRA's. */

import { type LoraOptions, type Model, openModel } from '@onnx-lora/sdk';
import { ParameterSet, planAdapter, Trainer } from '@onnx-lora/sdk/core';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { readFile } from 'node:fs/promises';
import { methodsPlugin, tuners } from '@onnx-lora/methods';
import { writeFileAtomic, Random } from '@onnx-lora/sdk/data';
import { numbers, floats } from './training.ts';

/** Where a tuner's defaults are for larger layers, or nothing without settings. */
const settings: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bdlora: { use_bdlora: { target_modules_bd_a: ['query'], target_modules_bd_b: ['value'], nblocks: 2 } },
  aflora: { total_step: 100 },
  c3a: { block_size: 128 },
  vblora: { vector_length: 128 },
  relora: { restart_every: 100, restarts: 1 },
  cola: { restart_every: 100, restarts: 1 },
  'periodic-lora': { restart_every: 100, restarts: 1 },
  arrow: { experts: ['one', 'two', 'three', 'four'] },
  xlora: { experts: ['one', 'two', 'three', 'four'] },
};

/** Steps that count, and those before. */
const [STEPS, WARM_UPS] = [5, 1];

/**
 * Trains queries and values of a ViT on two images by LoRA of rank 8 and by each tuner, on one thread, and writes how many times
 * LoRA's processor time the quickest step takes. LoRA is measured again after every few tuners.
 *
 * @param file JSON of the figures; existing ones are kept, and missing ones are measured
 */
export async function measureMethods(vit: string, file: string, print: (line: string) => void): Promise<void> {
  const model = await openModel(vit, { plugins: [methodsPlugin] });
  const targetModules = ['query', 'value'];
  const known = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as Record<string, number | string>;
  const lora = (): Promise<number> => stepMs(model, { r: 8, loraAlpha: 16, targetModules });
  let base = await lora();
  for (const [i, { name }] of tuners.entries()) {
    if (typeof known[name] === 'number') continue;
    try {
      const own = await stepMs(model, { tuner: { name, ...settings[name] }, targetModules });
      if (i % 4 === 0) base = Math.min(base, await lora());
      known[name] = Math.round((100 * own) / base) / 100;
    } catch (error) {
      known[name] = (error as Error).message;
    }
    print(`${name}  ${known[name]}`);
    await writeFileAtomic(
      file,
      `${JSON.stringify(Object.fromEntries(Object.entries(known).sort(([a], [b]) => a.localeCompare(b))), undefined, 2)}\n`,
    );
  }
}

/** Processor time of the quickest step. */
async function stepMs(model: Model, lora: LoraOptions): Promise<number> {
  const { plan } = planAdapter(model, lora);
  const random = new Random(1);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!),
    lossWeight: () => 1,
    runtime: model.runtime,
    session: { provider: 'cpu', threads: 1 },
    parameters: (all) => ParameterSet.initial(all, random),
    name: 'vit',
  });
  const inputs = { pixel_values: floats(random, [2, 3, 224, 224]) };
  const targets = { labels: numbers(random, [2], 0, 100) };
  let least = Infinity;
  for (let i = 0; i < STEPS + WARM_UPS; i++) {
    const before = process.cpuUsage();
    await trainer.step(inputs, targets, 1e-4);
    const { user, system } = process.cpuUsage(before);
    if (i >= WARM_UPS) least = Math.min(least, (user + system) / 1000);
  }
  await trainer.release();
  return least;
}
