/** @file Folders of optimum, whose decoders ask for a past, open as models that begin without one: as the export without. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Feeds, int64, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { textFamilies } from '@onnx-lora/text';
import { beforeAll, describe, expect, it } from 'vitest';
import { planAdapter } from '../packages/sdk/src/model/planning/planAdapter.ts';
import { randomTrainer } from '../packages/testing/src/random.ts';
import { difference } from './support/graphs.ts';

const models = path.join(import.meta.dirname, '../../shared/models');
const tokens = (make: (row: number, i: number) => number): Tensor =>
  int64(Array.from({ length: 12 }, (_, i) => make(Math.floor(i / 6), i % 6)), [2, 6]); // prettier-ignore
/** The second row has two tokens fewer. */
const isPadding = (row: number, i: number): boolean => row === 1 && i > 3;
const feeds: Feeds = {
  input_ids: tokens((row, i) => 7 + 31 * i + 500 * row),
  attention_mask: tokens((row, i) => (isPadding(row, i) ? 0 : 1)),
  position_ids: tokens((_, i) => i),
};
const labels = tokens((row, i) => (isPadding(row, i) ? -100 : 11 + 17 * i + row));

async function logitsOf(model: Model): Promise<Tensor> {
  const session = await model.session();
  try {
    return (await session.run(feeds))['logits']!;
  } finally {
    await session.release();
  }
}

async function gradientsOf(model: Model): Promise<ReadonlyMap<string, Float32Array>> {
  const { plan } = planAdapter(model, { r: 2 });
  const trainer = randomTrainer(model, plan, (g, { logits }, targets) => crossEntropy(g, logits!, targets['labels']!));
  try {
    return (await trainer.lossAndGradients(feeds, { labels })).gradients;
  } finally {
    await trainer.release();
  }
}

describe.runIf(existsSync(models)).each(['llama-tiny', 'gpt2-tiny'])('%s', (name) => {
  let model: Model;
  let without: Model;
  beforeAll(async () => {
    model = await openModel(path.join(models, name), { families: textFamilies });
    without = await openModel(path.join(models, name, 'onnx/model_no_past.onnx'), { families: textFamilies });
  });

  it('asks for tokens alone, and the file itself for the past too', async () => {
    expect(Object.keys(model.inputs).sort()).toEqual(Object.keys(feeds).sort());
    expect(Object.keys(model.outputs)).toEqual(['logits']);
    const file = model.part('model');
    expect(Object.keys(file.inputs)).toHaveLength(3 + 8);
    expect(Object.keys(file.outputs)).toHaveLength(1 + 8);
    expect(await model.digest()).toBe(await file.digest());
  });

  it('computes the same logits', async () => {
    expect(difference(await logitsOf(model), await logitsOf(without))).toBeLessThan(1e-5);
  });

  it('gives the adapter of all layers the same gradients', async () => {
    const [found, wanted] = [await gradientsOf(model), await gradientsOf(without)];
    expect([...found.keys()]).toEqual([...wanted.keys()]);
    for (const [tensor, gradient] of wanted) {
      const most = gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const off = gradient.reduce((max, value, i) => Math.max(max, Math.abs(value - found.get(tensor)![i]!)), 0);
      expect(most, tensor).toBeGreaterThan(0);
      expect(off / most, tensor).toBeLessThan(1e-5);
    }
  });
});

it('a model without a past is as it is, whatever it yields', async () => {
  const folder = path.join(import.meta.dirname, 'fixtures/cases/lora-linear');
  for (const source of [folder, path.join(folder, 'model.onnx')]) {
    const model = await openModel(source, { families: textFamilies });
    expect(model.parts).toEqual([]);
    await model.place(await loadAdapter(path.join(folder, 'adapter')));
  }
});
