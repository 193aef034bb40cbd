/** @file Training that begins with an adapter: nothing is lost, and steps go on from there. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { tinyTask } from '../../../fixtures/tinyTask.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { LoraOptions } from '../planning/loraOptions.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';
import type { TrainOptions } from '../training/options/options.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-from-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = path.join(folder, 'model.onnx');
writeOnnx(file, mlp((layer) => golden(`base.${layer}.weight`)).model);
const model = await openModel(file);

let count = 0;
async function saved(adapter: Adapter): Promise<{ folder: string; bytes: Buffer[] }> {
  const place = path.join(folder, `adapter-${count++}`);
  await adapter.save(place);
  const bytes = ['adapter_config.json', 'adapter_model.safetensors'].map((name) =>
    readFileSync(path.join(place, name)),
  );
  return { folder: place, bytes };
}

/** All rows in each step, and an optimizer that remembers nothing: steps depend on the adapter alone. */
const settings = {
  task: tinyTask(),
  batchSize: 40,
  lr: 0.05,
  optimizer: { name: 'sgd', momentum: 0 },
  schedule: 'constant',
  provider: 'cpu',
  threads: 1,
} as const;

async function trained(options: Partial<TrainOptions>): Promise<Adapter> {
  const run = await train(model, { ...settings, ...options });
  return (await run.done).adapter;
}

const kinds: Record<string, LoraOptions> = {
  'LoRA with ranks and alphas of its own': {
    r: 4,
    loraAlpha: 3,
    targetModules: ['fc1', 'fc2'],
    rankPattern: { fc2: 2 },
    alphaPattern: { fc1: 5 },
    useRslora: true,
  },
  'DoRA and a layer in full': { r: 2, targetModules: ['fc1'], useDora: true, modulesToSave: ['fc2'] },
  'biases and a bias of B': { r: 2, targetModules: ['fc1', 'fc2'], bias: 'all', loraBias: true },
  PiSSA: { r: 2, targetModules: ['fc1', 'fc2'], initLoraWeights: 'pissa' },
};

describe.each(Object.entries(kinds))('%s', (_, lora) => {
  it('is the same bytes after no step, and continues as if it had never ended', async () => {
    const half = await saved(await trained({ lora, steps: 3 }));
    expect((await saved(await trained({ from: half.folder, steps: 0 }))).bytes).toEqual(half.bytes);
    const [whole, on] = [await trained({ lora, steps: 6 }), await trained({ from: half.folder, steps: 3 })];
    expect([...on.tensors.keys()].sort()).toEqual([...whole.tensors.keys()].sort());
    const start = (await saved(on)).bytes;
    expect(start).not.toEqual(half.bytes);
    // PiSSA's factors are trained inside an adapter of twice the rank: the same function, other numbers.
    if (lora.initLoraWeights !== undefined) return;
    for (const [name, { data, dims }] of whole.tensors) {
      const found = on.tensors.get(name)!;
      expect(found.dims).toEqual(dims);
      Array.from(data as Float32Array).forEach((value, i) => expect(found.data[i]).toBeCloseTo(value, 4));
    }
  });
});

it('can be interrupted, and continues from a checkpoint', async () => {
  const { folder: from } = await saved(await trained({ lora: { r: 2, targetModules: ['fc1'] }, steps: 2 }));
  const checkpoints = { folder: path.join(folder, 'checkpoints'), every: 2 };
  const whole = await saved(await trained({ from, steps: 4 }));
  const first = await train(model, { ...settings, from, steps: 4, checkpoints });
  for await (const event of first) if (event.type === 'step' && event.step === 2) first.stop();
  expect((await saved(await trained({ from, steps: 4, checkpoints, resume: true }))).bytes).toEqual(whole.bytes);
  const other = await trained({ lora: { r: 2, targetModules: ['fc1'] }, steps: 1 });
  await expect(train(model, { ...settings, from: other, steps: 4, checkpoints, resume: true })).rejects.toThrow(
    /belongs to another run: firstValues was/,
  );
});

it('refuses what does not go together', async () => {
  const from = await trained({ lora: { r: 2, targetModules: ['fc1'] }, steps: 1 });
  await expect(train(model, { ...settings, from, lora: { r: 2 } })).rejects.toThrow(
    /from starts from an adapter with its own settings/,
  );
  await expect(train(model, { ...settings, steps: 0 })).rejects.toThrow(/steps must be a whole number of at least 1/);
  const other = path.join(folder, 'other.onnx');
  const doubled = (layer: string) => {
    const { data, dims } = golden(`base.${layer}.weight`);
    return float32(
      (data as Float32Array).map((value) => 2 * value),
      dims,
    );
  };
  writeOnnx(other, mlp(doubled).model);
  await expect(train(await openModel(other), { ...settings, from })).rejects.toMatchObject({
    code: 'ADAPTER_MISMATCH',
  });
});
