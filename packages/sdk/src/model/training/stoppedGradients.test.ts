/** @file A run stops gradients where the family of the model says so, and lets them flow elsewhere. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel } from '@onnx-lora/testing';
import { afterAll, expect, test } from 'vitest';
import type { ModelFamily } from '../../plugin/families/family.ts';
import type { Task } from '../../plugin/preparedTask.ts';
import { float32 } from '../../runtime/tensor.ts';
import { meanSquaredError } from '../../train/losses/index.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-stopped-'));
afterAll(() => rmSync(folder, { recursive: true }));
const published = await publishModel(path.join(folder, 'net'), { model: linearNet() });

const task: Task = {
  name: 'numbers',
  prepare: () =>
    Promise.resolve({
      train: { length: 4, get: (index: number) => Promise.resolve(index) },
      collate: (examples) =>
        Promise.resolve({
          inputs: { x: float32(Array.from({ length: examples.length * 8 }, (_, i) => Math.sin(i)), [examples.length, 8]) }, // prettier-ignore
          targets: { y: float32(new Float32Array(examples.length * 3).fill(0.5), [examples.length, 3]) },
        }),
      loss: (g, { logits }, { y }) => meanSquaredError(g, logits!, y!),
      metrics: () => {
        throw new Error('not used');
      },
    }),
};

const family = (stops: boolean): ModelFamily => ({
  name: 'net',
  domain: 'tests',
  matches: () => true,
  roles: {},
  defaultTargets: [],
  tasks: [],
  ...(stops && {
    stopGradients: ({ graph, layers }) => {
      expect(layers.map((layer) => layer.path)).toEqual(['encoder.0', 'encoder.1', 'head']);
      const { input } = layers[1]!;
      return [{ value: input, reader: graph.node!.find((node) => node.input!.includes(input))!.output![0]! }];
    },
  }),
});

async function run(stops: boolean, targetModules: readonly string[]): Promise<number> {
  const model = await openModel(published, { families: [family(stops)] });
  const started = await train(model, { task, lora: { r: 2, targetModules: [...targetModules] }, steps: 1, batchSize: 4, provider: 'cpu', threads: 1 }); // prettier-ignore
  await started.done;
  return started.trainableParameters;
}

test('a layer before the edge learns nothing, and a run of it alone is refused', async () => {
  expect(await run(false, ['encoder.0'])).toBe(2 * (8 + 6));
  await expect(run(true, ['encoder.0'])).rejects.toThrow(/depends on nothing that is trained/);
  expect(await run(true, ['encoder.1'])).toBe(2 * (6 + 6));
});
