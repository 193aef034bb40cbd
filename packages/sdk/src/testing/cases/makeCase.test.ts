/** @file Self-made cases pass the runner, say that they are, and catch what is wrong. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../errors.ts';
import { openModel } from '../../model/opening/openModel.ts';
import { Random } from '../../runtime/random.ts';
import { float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { conformance, type ConformanceReport } from '../conformance/conformance.ts';
import { convNet } from '../models/convNet.ts';
import { linearNet } from '../models/linearNet.ts';
import { publishModel } from '../models/publishModel.ts';
import { visionTransformer } from '../models/visionTransformer.ts';
import { makeCase, type MakeCaseOptions } from './makeCase.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-case-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function random(dims: readonly number[], seed = 7): Tensor {
  const numbers = new Random(seed);
  return float32(
    Array.from({ length: sizeOf(dims) }, () => numbers.normal()),
    dims,
  );
}

async function model(name: string, small: ReturnType<typeof linearNet>): Promise<MakeCaseOptions['model']> {
  return openModel(await publishModel(path.join(scratch, name), { model: small, config: { model_type: name } }));
}

const linear = async (change: Partial<MakeCaseOptions> = {}): Promise<MakeCaseOptions> => ({
  model: await model('linear', linearNet({ inputs: 4, hidden: 3, layers: 2 })),
  lora: {
    r: 2,
    targetModules: ['encoder.0', 'encoder.1'],
    modulesToSave: ['head'],
    bias: 'lora_only',
    useRslora: true,
  },
  feeds: { x: random([4, 4]) },
  labels: int64([0, 2, -100, 1], [4]),
  loss: { kind: 'cross-entropy', output: 'logits' },
  ...change,
});

function statuses({ checks }: ConformanceReport): Record<string, string> {
  return Object.fromEntries(checks.map(({ check, status, detail }) => [check, status === 'failed' ? detail : status]));
}

const allPassed = Object.fromEntries(
  ['discover', 'base', 'load', 'forward', 'loss', 'gradients', 'train', 'save', 'merge'].map((name) => [
    name,
    'passed',
  ]),
);

it('linear layers, a saved head, biases', async () => {
  const folder = path.join(scratch, 'cases', 'linear');
  expect(await makeCase(folder, await linear())).toEqual({ precision: 'float64' });
  expect(statuses(await conformance(folder))).toEqual(allPassed);
  const description = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as Record<string, unknown>;
  expect(description).toMatchObject({ id: 'linear', reference: 'onnx-lora finite differences', precision: 'float64' });
});

it('attention and GELU behind a convolution', async () => {
  const folder = path.join(scratch, 'cases', 'vit');
  const made = await makeCase(folder, {
    model: await model('vit', visionTransformer({ hidden: 4, layers: 1, image: 4, patch: 2 })),
    lora: { r: 1, targetModules: ['query', 'intermediate.dense'] },
    feeds: { pixel_values: random([2, 3, 4, 4]) },
    labels: int64([2, 0], [2]),
    loss: { kind: 'cross-entropy', output: 'logits' },
    steps: 1,
  });
  expect(made).toEqual({ precision: 'float64' });
  expect(statuses(await conformance(folder))).toEqual(allPassed);
});

it('convolutions with strides, pads and dilations', async () => {
  const folder = path.join(scratch, 'cases', 'conv');
  const net = await model('conv', convNet());
  const made = await makeCase(folder, {
    model: net,
    lora: { r: 1, targetModules: ['stem', 'wide'] },
    feeds: { x: random([3, 4, 7, 7]) },
    labels: random([3, 3], 8),
    loss: { kind: 'mse', output: Object.keys(net.outputs)[0]! },
    steps: 0,
  });
  expect(made).toEqual({ precision: 'float64' });
  expect(statuses(await conformance(folder))).toEqual({ ...allPassed, train: 'not applicable' });
});

it('the same seed makes the same case', async () => {
  const folders = ['one', 'two'].map((name) => path.join(scratch, name, 'case'));
  for (const folder of folders) await makeCase(folder, await linear({ steps: 1 }));
  const [one, two] = folders.map((folder) => readFileSync(path.join(folder, 'expected.safetensors')));
  expect(one!.equals(two!)).toBe(true);
});

it('an adapter with another scale does not pass', async () => {
  const folder = path.join(scratch, 'cases', 'scaled');
  await makeCase(folder, await linear({ steps: 1 }));
  const file = path.join(folder, 'adapter', 'adapter_model.safetensors');
  const { tensors, metadata } = await readSafetensors(file);
  for (const [name, { data, dims }] of tensors)
    if (name.includes('lora_B')) tensors.set(name, float32((data as Float32Array).map((each) => 1.5 * each), dims)); // prettier-ignore
  await writeSafetensors(file, tensors, metadata);
  const failed = (await conformance(folder)).checks.filter(({ status }) => status === 'failed');
  expect(failed.map(({ check }) => check)).toEqual(['forward', 'loss', 'gradients', 'train', 'merge']);
});

it.each([
  ['a loss without a reference', { loss: { kind: 'ctc', output: 'logits' } }],
  ['an output that is not there', { loss: { kind: 'mse', output: 'scores' } }],
  ['DoRA', { lora: { useDora: true, targetModules: ['encoder.0'] } }],
] as const)('refuses %s', async (_, change) => {
  const attempt = makeCase(path.join(scratch, 'refused'), await linear(change));
  await expect(attempt).rejects.toBeInstanceOf(OnnxLoraError);
  await expect(attempt).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
