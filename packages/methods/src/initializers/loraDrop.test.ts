/** @file LoRA-drop's importance against sums over rows, and a run of the layers that it leaves. */

import path from 'node:path';
import { Adapter, loadAdapter, openModel, train } from '@onnx-lora/sdk';
import type { InputObserver } from '@onnx-lora/sdk/plugin';
import { matmul, matrix } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { memorising } from '../../fixtures/memorise.ts';
import { loraDrop } from './loraDrop.ts';

const folder = path.join(import.meta.dirname, '../../../../test/fixtures/cases/lora-lorafa-rslora');
const random = { uniform: () => 0.5 } as never;

it('keeps the layers whose changes are largest on the inputs', async () => {
  const { config, tensors } = await loadAdapter(path.join(folder, 'adapter'));
  // One that counts for more.
  const adapter = new Adapter({ ...config, alphaPattern: { 'layers.0.up': 24 } }, tensors);
  const layers = ['layers.0.up', 'layers.0.down', 'layers.1.up', 'layers.1.down'];
  const widths = [16, 24, 16, 24];
  const rows = 5;
  const x = widths.map((width, k) => Float64Array.from({ length: rows * width }, (_, i) => (k + 1) * Math.sin(1 + k + 1.3 * i))); // prettier-ignore
  // ‖s·B·(A·x)‖² per row, with s = alpha / √r of rsLoRA.
  const energies = layers.map((layer, k) => {
    const [A, B] = ['lora_A', 'lora_B'].map((name) => adapter.tensors.get(`base_model.model.${layer}.${name}.weight`)!); // prettier-ignore
    const [r, out, width] = [A!.dims[0]!, B!.dims[0]!, widths[k]!];
    let sum = 0;
    for (let row = 0; row < rows; row++)
      for (let o = 0; o < out; o++) {
        let y = 0;
        for (let j = 0; j < r; j++)
          for (let i = 0; i < width; i++)
            y += Number(B!.data[o * r + j]) * Number(A!.data[j * width + i]) * x[k]![row * width + i]!;
        sum += (((k === 0 ? 24 : 8) / Math.sqrt(4)) * y) ** 2;
      }
    return sum / rows;
  });
  const total = energies.reduce((sum, each) => sum + each, 0);
  const order = layers.map((_, k) => k).sort((one, other) => energies[other]! - energies[one]!);
  const observed = (initializer: ReturnType<typeof loraDrop>): { path: string; r: number; observer: InputObserver }[] =>
    layers.map((layer, k) => {
      const observer = initializer.observe({ width: widths[k]!, r: 4, random });
      const all = matrix(rows, widths[k]!, x[k]);
      // In two batches; the second has the first row again: its weight in the mean is that of its number.
      for (const part of [all, all]) observer.update({ rows, gram: matmul(part, part, { transposeA: true }), sum: new Float64Array(widths[k]!), max: 1 }); // prettier-ignore
      return { path: layer, r: 4, observer };
    });
  for (let kept = 1; kept <= 4; kept++) {
    const part = (upTo: number): number => order.slice(0, upTo).reduce((sum, k) => sum + energies[k]!, 0) / total;
    // A share that the first so many have, and one fewer do not.
    const initializer = loraDrop(adapter, { share: (part(kept - 1) + part(kept)) / 2 });
    const ranks = initializer.ranks!(observed(initializer));
    expect(order.map((k) => ranks.get(layers[k]!))).toEqual([0, 1, 2, 3].map((place) => (place < kept ? 4 : 0)));
  }
});

it('is where a run begins, which adapts fewer layers', async () => {
  const model = await openModel(path.join(folder, 'model.onnx'));
  const task = await memorising(folder);
  const lora = { r: 4, targetModules: ['up', 'down'] };
  const { adapter } = await (await train(model, { task, lora, steps: 4, lr: 0.05 })).done;
  const run = await train(model, { task, lora: { ...lora, initLoraWeights: loraDrop(adapter, { share: 0.5 }) }, steps: 2 }); // prettier-ignore
  const { config, tensors } = (await run.done).adapter;
  const modules = config.targetModules as readonly string[];
  expect(modules.length).toBeGreaterThan(0);
  expect(modules.length).toBeLessThan(4);
  expect([...tensors.keys()].filter((name) => name.endsWith('lora_A.weight')).length).toBe(modules.length);
  await expect(train(model, { task, lora: { ...lora, targetModules: ['stem'], initLoraWeights: loraDrop(adapter) }, steps: 1 })).rejects.toThrow('has no LoRA in the adapter of the short run'); // prettier-ignore
  expect(() => loraDrop(adapter, { share: 0 })).toThrow('share of loraDrop must be a number above 0');
});
