/** @file A training step through UNet and text encoder against torch. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, type Feeds, float32, int64, loadAdapter, OrtRuntime, type Tensor, tensor } from '@onnx-lora/sdk';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { scalingOf } from '@onnx-lora/sdk/plugin';
import { meanSquaredError } from '@onnx-lora/sdk/tasks';
import { expect, it } from 'vitest';
import { sdTiny } from '../../fixtures/oracle.ts';
import { createScheduler } from '../schedulers/createScheduler.ts';
import { joinAdapters, splitAdapter } from '../files/splitAdapter.ts';
import { openDenoiser } from './denoiser.ts';

const PREFIX = 'base_model.model.';

it('loss and gradients of both adapters are those of torch', async () => {
  const { tensors } = await readSafetensors(path.join(sdTiny, 'golden.safetensors'));
  const numbers = (name: string): Float32Array => tensors.get(name)!.data as Float32Array;
  const model = await openDenoiser(sdTiny);
  const adapters = {
    unet: await loadAdapter(path.join(sdTiny, 'adapter/unet')),
    text_encoder: await loadAdapter(path.join(sdTiny, 'adapter/text_encoder')),
  };
  const joined = joinAdapters({ adapters });
  const placed = await model.place(joined, { toTrain: true });
  expect(placed.unused).toEqual([]);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => meanSquaredError(g, outputs['out_sample']!, targets['noise']!),
    runtime: new OrtRuntime(),
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name: 'sd-tiny',
  });
  // The graph takes one timestep for all rows, and the rows have two.
  let loss = 0;
  const sums = new Map<string, Float32Array>();
  for (const row of [0, 1]) {
    const each = 4 * 8 * 8;
    const part = (name: string): Tensor => float32(numbers(name).slice(row * each, (row + 1) * each), [1, 4, 8, 8]);
    const ids = Array.from(tensors.get('input_ids')!.data as BigInt64Array, Number).slice(row * 16, (row + 1) * 16);
    const t = Number((tensors.get('train.timestep')!.data as BigInt64Array)[row]);
    const inputs: Feeds = { input_ids: int64(ids, [1, 16]), sample: part('train.noisy_latents'), timestep: tensor('float32', Float32Array.of(t), []) }; // prettier-ignore
    const step = await trainer.lossAndGradients(inputs, { noise: part('train.noise') });
    loss += step.loss / 2;
    const named = new ParameterSet(trainer.parameters!.all.map((parameter) => ({ ...parameter, value: step.gradients.get(parameter.input.name)! }))).tensors(); // prettier-ignore
    for (const [name, { data }] of named) {
      const sum = sums.get(name) ?? new Float32Array(data.length);
      (data as Float32Array).forEach((value, i) => (sum[i]! += value / 2));
      sums.set(name, sum);
    }
  }
  await trainer.release();
  expect(Math.abs(loss - numbers('train.lora.loss')[0]!)).toBeLessThan(1e-3 * numbers('train.lora.loss')[0]!);
  const expected = [...tensors].filter(([name]) => name.startsWith('train.lora.grad.'));
  expect(expected.length).toBe(sums.size);
  const largest = Math.max(...expected.flatMap(([, { data }]) => [...(data as Float32Array)].map(Math.abs)));
  for (const [name, { data }] of expected) {
    const own = sums.get(name.replace('train.lora.grad.', PREFIX).replace(`.${PREFIX}`, '.'))!;
    const scale = Math.max(...[...(data as Float32Array)].map(Math.abs), 1e-3 * largest);
    (data as Float32Array).forEach((value, i) => expect(Math.abs(own[i]! - value) / scale, name).toBeLessThan(1e-3));
  }
  const { adapters: again } = splitAdapter(joined);
  for (const name of ['unet', 'text_encoder'] as const) {
    expect([...again[name]!.tensors]).toEqual([...adapters[name].tensors]);
    const scales = ({ config, tensors: own }: Adapter): readonly unknown[] =>
      [...own.keys()].map((key) => scalingOf(config, key.replace(PREFIX, '').replace(/\.lora_[AB]\.weight$/, '')));
    expect(scales(again[name]!)).toEqual(scales(adapters[name]));
  }
}, 60_000);

it('noisy latents are those that torch trains on', async () => {
  const { tensors } = await readSafetensors(path.join(sdTiny, 'golden.safetensors'));
  const numbers = (name: string): Float32Array => tensors.get(name)!.data as Float32Array;
  const config = JSON.parse(readFileSync(path.join(sdTiny, 'scheduler/scheduler_config.json'), 'utf8')) as object;
  const scheduler = createScheduler({ ...config, timestep_spacing: 'linspace' }, { steps: 1000 });
  const each = 4 * 8 * 8;
  for (const row of [0, 1]) {
    const t = Number((tensors.get('train.timestep')!.data as BigInt64Array)[row]);
    const [clean, noise, noisy] = ['clean_latents', 'noise', 'noisy_latents'].map((name) => numbers(`train.${name}`).slice(row * each, (row + 1) * each)) as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
    const found = scheduler.addNoise(clean, noise, scheduler.timesteps.indexOf(t));
    noisy.forEach((value, i) => expect(Math.abs(found[i]! - value)).toBeLessThan(1e-5));
  }
});
