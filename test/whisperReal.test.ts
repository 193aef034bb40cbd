/** @file Whisper tiny.en learns Spanish prompts step by step as PEFT on torch teaches it; nightly, where the model is present. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Feeds, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import type { Batch } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { type AudioReader, resamplePoly, AudioFileReader, speechFamilies, speechRecognition } from '@onnx-lora/speech';
import { beforeAll, describe, expect, test } from 'vitest';
import { isNightly } from './support/nightly.ts';

// Too large for the repository, and recordings under a licence of their own; kept beside a checkout instead of in it.
const shared = path.join(import.meta.dirname, '../../shared');
const oracle = path.join(shared, 'oracle/whisper-real');
const whole = path.join(shared, 'models/whisper-tiny.en');
const recordings = path.join(shared, 'data/asterisk-es');

interface Step {
  readonly lr: number;
  /** Paths in the manifest. */
  readonly batch: readonly string[];
  readonly decoder_input_ids: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
  readonly loss: number;
  readonly gradNorm: number;
  readonly featureSum: readonly number[];
}

/** As the oracle reads sound: resampled as SciPy does. */
const reader: AudioReader = {
  fileEndings: ['.wav'],
  read: async (source, span) => {
    const { sampleRate, channels } = await new AudioFileReader().read(source, span);
    return { sampleRate: 16_000, channels: channels.map((samples) => resamplePoly(samples, 16_000, sampleRate)) };
  },
  stream: (source) => new AudioFileReader().stream(source),
};

// Every change holds smaller Whispers against PEFT.
describe.skipIf(!isNightly || !existsSync(oracle))('whisper-tiny.en (needs ../shared beside the checkout)', () => {
  /** The five steps, each as the task makes its batch. */
  let steps: readonly { readonly wanted: Step; readonly batch: Batch }[];
  /** Joined from the published files of encoder and decoder, and the export of both in one file. */
  let published: Model;
  let exported: Model;

  beforeAll(async () => {
    published = await openModel(whole, { families: speechFamilies });
    exported = await openModel(path.join(whole, 'onnx/model.onnx'), { families: speechFamilies });
    const data = await speechRecognition(recordings, { reader, contextSeconds: 'full' }).prepare(published);
    const names = Array.from({ length: data.train.length }, (_, i) => data.train.nameOf!(i));
    const wanted = (JSON.parse(readFileSync(path.join(oracle, 'steps.json'), 'utf8')) as { steps: Step[] }).steps;
    const batches = wanted.map(async (step) => {
      const indices = step.batch.map((name) => names.findIndex((each) => each.includes(name)));
      return data.collate(await Promise.all(indices.map((index) => data.train.get(index))));
    });
    steps = (await Promise.all(batches)).map((batch, i) => ({ wanted: wanted[i]!, batch }));
  }, 120_000);

  test('encoder and decoder are joined, although there is a file of both', () => {
    expect(published.parts.length).toBeGreaterThan(0);
    expect(exported.parts).toEqual([]);
  });

  test('features are those of transformers', async () => {
    const { tensors } = await readSafetensors(path.join(oracle, 'batch1.safetensors'));
    const stored = tensors.get('input_features')!;
    const [rows, mels, frames] = stored.dims as [number, number, number];
    const found = steps[0]!.batch.inputs['input_features']!;
    expect(found.dims).toEqual([rows, mels, 3000]);
    let worst = 0;
    for (let i = 0; i < rows * mels * 3000; i++) {
      const frame = Math.min(i % 3000, frames - 1);
      const wanted = Number(stored.data[Math.floor(i / 3000) * frames + frame]);
      worst = Math.max(worst, Math.abs(Number(found.data[i]) - wanted));
    }
    expect(worst).toBeLessThan(1e-4);
    for (const { wanted, batch } of steps) {
      const { data } = batch.inputs['input_features']!;
      for (const [row, sum] of wanted.featureSum.entries()) {
        const own = (data as Float32Array).subarray(row * mels * 3000, (row + 1) * mels * 3000);
        expect(Math.abs(own.reduce((total, value) => total + value, 0) / sum - 1)).toBeLessThan(1e-6);
      }
    }
  });

  test('labels and tokens are those of transformers', () => {
    for (const { wanted, batch } of steps) {
      const length = wanted.labels[0]!.length;
      const rowsOf = ({ dims, data }: Tensor): number[][] =>
        Array.from({ length: dims[0]! }, (_, row) => Array.from(data.slice(row * dims[1]!, (row + 1) * dims[1]!), Number)); // prettier-ignore
      const labels = rowsOf(batch.targets['labels']!);
      expect(labels.map((row) => row.slice(0, length))).toEqual(wanted.labels);
      expect(labels.flatMap((row) => row.slice(length)).every((label) => label === -100)).toBe(true);
      const tokens = rowsOf(batch.inputs['decoder_input_ids']!);
      expect(tokens.map((row) => row.slice(0, length))).toEqual(wanted.decoder_input_ids);
    }
  });

  test('gradients of a trained adapter are those of torch, from one file', { timeout: 600_000 }, async () => {
    const trainer = await trainerOf(exported, 'adapter-trained');
    const expected = (await readSafetensors(path.join(oracle, 'gradients-trained.safetensors'))).tensors;
    const { inputs, targets } = steps[0]!.batch;
    const { loss, gradients } = await trainer.lossAndGradients(inputs, targets);
    expect(relative(loss, Number(expected.get('loss')!.data[0]))).toBeLessThan(1e-4);
    expect(worstGradient(trainer.parameters!, gradients, expected)).toBeLessThan(1e-3);
    await trainer.release();
  });

  test('five steps go where PEFT goes, from two files', { timeout: 600_000 }, async () => {
    const trainer = await trainerOf(published, 'adapter-init');
    const expected = (await readSafetensors(path.join(oracle, 'gradients-init.safetensors'))).tensors;
    for (const [i, { wanted, batch }] of steps.entries()) {
      const found = await trainer.lossAndGradients(batch.inputs, batch.targets);
      if (i === 0) expect(worstGradient(trainer.parameters!, found.gradients, expected)).toBeLessThan(1e-3);
      const { loss, gradNorm } = await trainer.apply(found, wanted.lr);
      expect(relative(loss, wanted.loss)).toBeLessThan(1e-3);
      expect(relative(gradNorm, wanted.gradNorm)).toBeLessThan(1e-3);
    }
    const [before, after] = await Promise.all(
      ['adapter-init', 'adapter-step5'].map((name) => loadAdapter(path.join(oracle, name))),
    );
    const found = trainer.parameters!.tensors();
    // Adam moves a number whose gradient is next to nothing as far as any other, whichever way rounding points.
    expect(distance(found, after!.tensors) / distance(before!.tensors, after!.tensors)).toBeLessThan(0.005);
    await trainer.release();
  });
});

/** A trainer as the oracle's optimizer, starting from one of its adapters. */
async function trainerOf(model: Model, adapter: string): Promise<Trainer> {
  const placed = await model.place(await loadAdapter(path.join(oracle, adapter)));
  const task = await speechRecognition(recordings, { reader, contextSeconds: 'full' }).prepare(model);
  return new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => task.loss(g, outputs, targets),
    lossWeight: (targets: Feeds) => task.lossWeight!(targets),
    optimizer: { name: 'adamw', weightDecay: 0.01 },
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name: model.name,
  });
}

function relative(found: number, wanted: number): number {
  return Math.abs(found / wanted - 1);
}

/** The largest error of a gradient, in parts of its largest number. */
function worstGradient(
  parameters: ParameterSet,
  gradients: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Tensor>,
): number {
  const values = new Map(parameters.all.map(({ input }) => [input.name, gradients.get(input.name)!]));
  const named = parameters.withValues(values).tensors();
  expect(named.size).toBe(48);
  let worst = 0;
  for (const [name, { data }] of named) {
    const wanted = expected.get(`grad.${name}`)!.data as Float32Array;
    const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(data[i]))), 0);
    worst = Math.max(worst, scale === 0 ? error : error / scale);
  }
  return worst;
}

/** The Euclidean distance of all tensors together. */
function distance(tensors: ReadonlyMap<string, Tensor>, others: ReadonlyMap<string, Tensor>): number {
  let sum = 0;
  for (const [name, { data }] of others) {
    const own = tensors.get(name)!.data;
    for (const [i, value] of (data as Float32Array).entries()) sum += (value - Number(own[i])) ** 2;
  }
  return Math.sqrt(sum);
}
