import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';

const folder = fileURLToPath(new URL('../../../../../test/fixtures/cases/vit-v4', import.meta.url));

test('what a head reads becomes an output, with the adapter at work and the same digest', async () => {
  const model = await openModel(`${folder}/model.onnx`);
  const head = model.headInput('logits')!;
  expect(head).toMatchObject({ module: 'classifier', type: 'float32' });
  const features = model.withOutputs([head.name]);
  expect(Object.keys(features.outputs)).toEqual(['logits', head.name]);
  expect(await features.digest()).toBe(await model.digest());
  expect(features.modules()).toEqual(model.modules());

  const { tensors } = await readSafetensors(`${folder}/inputs.safetensors`);
  const { tensors: expected } = await readSafetensors(`${folder}/expected.safetensors`);
  const feeds = { pixel_values: tensors.get('pixel_values')! };
  const session = await features.session({ adapters: { own: await loadAdapter(`${folder}/adapter`) }, worker: false });
  try {
    const base = await session.run(feeds);
    const adapted = await session.run(feeds, { adapter: 'own' });
    // The base's head on top of the new output gives its logits.
    const { weight, bias } = headOf(features);
    const x = base[head.name]!.data as Float32Array;
    const [rows, classes] = base['logits']!.dims as [number, number];
    const width = x.length / rows;
    const truth = expected.get('base.logits')!.data as Float32Array;
    truth.forEach((logit, at) => {
      const [row, out] = [Math.floor(at / classes), at % classes];
      let sum = bias[out]!;
      for (let i = 0; i < width; i++) sum += x[row * width + i]! * weight[out * width + i]!;
      expect(sum).toBeCloseTo(logit, 4);
    });
    (expected.get('lora.logits')!.data as Float32Array).forEach((logit, at) =>
      expect(adapted['logits']!.data[at]).toBeCloseTo(logit, 3),
    );
    expect(adapted[head.name]!.data).not.toEqual(x);
  } finally {
    await session.release();
  }
});

test('a value that is not there is refused, one that is an output already changes nothing', async () => {
  const model = await openModel(`${folder}/model.onnx`);
  expect(() => model.withOutputs(['pooled'])).toThrow(/computes no value "pooled"/);
  expect(model.withOutputs(['logits'])).toBe(model);
  expect(model.headInput('pixel_values')).toBeUndefined();
});

function headOf(model: Model): { weight: Float32Array; bias: Float32Array } {
  const site = model.sites().find(({ path }) => path === 'classifier')!;
  const read = (name: string): Float32Array => {
    const tensor = model.onnx.model.graph.initializer!.find((each) => each.name === name)!;
    return readFloats(tensor);
  };
  return { weight: read(site.weight.name), bias: read(site.bias!.name) };
}
