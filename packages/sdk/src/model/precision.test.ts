/** @file Runs on a base in integers: what stays in float32, how they go on, and what their adapters serve and merge into. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../fixtures/inits/mlp.ts';
import { outputOf, taskOf } from '../../fixtures/memorise.ts';
import type { Adapter } from '../adapter/adapter.ts';
import { writeOnnx } from '../graph/file/onnxFile.ts';
import { tensorProto } from '../graph/tensorData.ts';
import type { BasePrecision } from '../ops/precision/precision.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { meanSquaredError } from '../train/losses/index.ts';
import { merge } from './merging/merge.ts';
import type { Model } from './model.ts';
import { openModel } from './opening/openModel.ts';
import { train } from './train.ts';
import type { TrainOptions } from './training/options/options.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-precision-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const { model: graph, output } = mlp((layer) => golden(`base.${layer}.weight`));
const file = path.join(folder, 'mlp.onnx');
writeOnnx(file, graph);
const int8: BasePrecision = { name: 'int8', saturates: true, smallest: 1 };
const inputs = { x: golden('base.calibration.x') };
const targets = { target: golden('target') };
const task = taskOf(64, inputs, targets, (g, outputs, wanted) =>
  meanSquaredError(g, outputs[output]!, wanted['target']!),
);

interface Trained {
  readonly losses: readonly number[];
  readonly warnings: readonly string[];
  readonly adapter: Adapter;
}

async function trained(model: Model, options: Partial<TrainOptions> = {}): Promise<Trained> {
  const run = await train(model, {
    task,
    lora: { r: 4, alpha: 6, targetModules: ['fc1', 'fc2'] },
    steps: 4,
    batchSize: 16,
    lr: 1e-2,
    threads: 1,
    ...options,
  });
  const losses: number[] = [];
  const warnings: string[] = [];
  for await (const event of run) {
    if (event.type === 'step') losses.push(event.loss);
    if (event.type === 'warning') warnings.push(event.message);
  }
  return { losses, warnings, adapter: (await run.done).adapter };
}

function bytesOf({ tensors }: Adapter): string {
  return JSON.stringify([...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString('base64')]));
}

function off(a: Tensor, b: Tensor): number {
  const [x, y] = [a, b].map(({ data }) => Array.from(data, Number)) as [number[], number[]];
  return Math.hypot(...x.map((value, i) => value - y[i]!)) / Math.hypot(...x);
}

describe('a run on a base in integers', () => {
  it('learns as in float32, within what rounding changes, and its adapter notes it', async () => {
    const [exact, rounded] = [
      await trained(await openModel(file)),
      await trained(await openModel(file, { precision: int8 })),
    ];
    rounded.losses.forEach((loss, i) => expect(Math.abs(loss / exact.losses[i]! - 1)).toBeLessThan(0.02));
    expect(rounded.losses).not.toEqual(exact.losses);
    expect(rounded.losses.at(-1)).toBeLessThan(rounded.losses[0]!);
    expect(exact.adapter.notes.precision).toBeUndefined();
    expect(rounded.adapter.notes.precision).toEqual({ ...int8, inFloat32: [] });
  });

  it('has the losses of float32 where only gradients are rounded, as long as nothing has moved', async () => {
    const only = { ...int8, name: 'int8-backward' } as const;
    const [exact, rounded] = [
      await trained(await openModel(file)),
      await trained(await openModel(file, { precision: only })),
    ];
    expect(rounded.losses[0]).toBe(exact.losses[0]);
    expect(bytesOf(rounded.adapter)).not.toBe(bytesOf(exact.adapter));
    expect(off(tensorOf(exact.adapter), tensorOf(rounded.adapter))).toBeLessThan(0.05);
  });

  it('goes on to the same bytes, and not in another precision', async () => {
    const model = await openModel(file, { precision: int8 });
    const whole = await trained(model);
    const place = path.join(folder, 'run');
    await trained(model, { checkpoints: { folder: place, every: 2, keep: 9 } });
    const rest = await trained(model, { resume: path.join(place, 'step-2') });
    expect(rest.losses).toEqual(whole.losses.slice(2));
    expect(bytesOf(rest.adapter)).toBe(bytesOf(whole.adapter));
    expect(rest.adapter.notes).toEqual(whole.adapter.notes);
    await expect(trained(await openModel(file), { resume: path.join(place, 'step-2') })).rejects.toThrow(
      'precision was int8 and is not set',
    );
  });
});

describe('a product that rounding changes too much', () => {
  // One number of each column is so large that the others, which are all that x reads, are rounded to zero.
  const [rows, columns] = golden('base.fc1.weight').dims as [number, number];
  const weight = float32((golden('base.fc1.weight').data as Float32Array).slice(), [rows, columns]);
  for (let row = 0; row < rows; row++) (weight.data as Float32Array)[row * columns] = 1000;
  const x = float32((inputs.x.data as Float32Array).slice(), inputs.x.dims);
  for (let row = 0; row < x.dims[0]!; row++) (x.data as Float32Array)[row * columns] = 0;
  const own = taskOf(64, { x }, targets, (g, outputs, wanted) =>
    meanSquaredError(g, outputs[output]!, wanted['target']!),
  );
  const spoilt = path.join(folder, 'spoilt.onnx');
  const initializer = graph.graph!.initializer!.map((each) => (each.name === 'fc1.weight' ? tensorProto('fc1.weight', weight) : each)); // prettier-ignore
  writeOnnx(spoilt, { ...graph, graph: { ...graph.graph, initializer } });

  it('stays in float32, in training and in serving, and is told of', async () => {
    const model = await openModel(spoilt, { precision: int8 });
    const { adapter, warnings, losses } = await trained(model, { task: own });
    expect(adapter.notes.precision).toEqual({ ...int8, inFloat32: ['forward fc1'] });
    expect(warnings.join()).toMatch(
      /^Of \d products in precision \"int8\", 1 stay in float32. Rounding changes 1 too much on the first batch: fc1(\.weight)? 100%\.$/,
    );
    const exact = await trained(await openModel(spoilt), { task: own });
    expect(Math.abs(losses[0]! / exact.losses[0]! - 1)).toBeLessThan(0.02);
    const inFloats = await openModel(spoilt);
    const answer = async (from: Model, own?: Adapter): Promise<Tensor> =>
      outputOf({ model: from, feeds: { x }, task, lossOf: () => 0 }, own);
    expect(off(await answer(inFloats, adapter), await answer(model, adapter))).toBeLessThan(0.05);
    // Without the note, the layer is in integers.
    expect(off(await answer(inFloats), await answer(model))).toBeGreaterThan(0.3);
  });
});

describe('a loss that rounding changes too much', () => {
  it('is computed from products in float32, and this is told of', async () => {
    const [exact, rounded] = [await openModel(file), await openModel(file, { precision: int8 })];
    const answers = await outputOf({ model: exact, feeds: inputs, task, lossOf: () => 0 });
    // So near that the difference is about as small as what rounding adds.
    const near = float32(
      Float32Array.from(Array.from(answers.data, Number), (value) => 1.01 * value),
      answers.dims,
    );
    const own = taskOf(64, inputs, { target: near }, (g, outputs, wanted) =>
      meanSquaredError(g, outputs[output]!, wanted['target']!),
    );
    const [wanted, found] = [await trained(exact, { task: own }), await trained(rounded, { task: own })];
    expect(Math.abs(found.losses[0]! / wanted.losses[0]! - 1)).toBeLessThan(0.02);
    expect(found.adapter.notes.precision?.inFloat32).toContain('forward fc1');
    expect(found.warnings.join()).toMatch(
      /^Of \d products in precision "int8", \d stay in float32. \d are needed for the loss to be within 2% of that in float32, and for every gradient to have a cosine of 0.995 with it \(now (0\.99[5-9]|1\.0)\d+\)\./,
    );
  });
});

describe('an adapter of a base in integers', () => {
  it('is served as it was measured, and elsewhere with a warning', async () => {
    const [exact, rounded] = [await openModel(file), await openModel(file, { precision: int8 })];
    const { adapter } = await trained(rounded);
    const told: string[] = [];
    const outputs: Tensor[] = [];
    for (const model of [exact, rounded]) {
      const session = await model.session({ adapters: { adapter }, threads: 1, onWarning: (text) => told.push(text) });
      outputs.push((await session.run(inputs, { adapter: 'adapter' }))[output]!);
      const mixed = await session.run(inputs, { adapter: Array.from({ length: 64 }, (_, i) => (i % 2 ? 'adapter' : null)) });
      const alone = [(await session.run(inputs))[output]!, outputs.at(-1)!];
      for (const [parity, each] of alone.entries()) expect(off(rowsOf(each, parity), rowsOf(mixed[output]!, parity))).toBeLessThan(1e-6);
      await session.release();
    }
    expect(told).toEqual([
      '"adapter" learned on a base in int8, and the model computes in float32: answers differ a little. Open the model with precision "int8" to have them as they were measured.',
    ]);
    expect(off(...(outputs as [Tensor, Tensor]))).toBeLessThan(0.05);
    expect(off(...(outputs as [Tensor, Tensor]))).toBeGreaterThan(0);
  }); // prettier-ignore

  it('is merged into the numbers of the file', async () => {
    const [exact, rounded] = [await openModel(file), await openModel(file, { precision: int8 })];
    const { adapter } = await trained(rounded);
    const places = await Promise.all(
      [exact, rounded].map(async (model, i) => {
        const place = path.join(folder, `merged-${i}.onnx`);
        await merge(model, adapter, place);
        return readFileSync(place).toString('base64');
      }),
    );
    expect(places[1]).toBe(places[0]);
  });

  it('keeps its note in its file', async () => {
    const { adapter } = await trained(await openModel(file, { precision: int8 }), { steps: 1 });
    await adapter.save(path.join(folder, 'adapter'));
    const { loadAdapter } = await import('./loadAdapter.ts');
    expect((await loadAdapter(path.join(folder, 'adapter'))).notes.precision).toEqual(adapter.notes.precision);
  });
});

describe('a precision', () => {
  it.each([
    ['of no such name', { precision: 'int9' as 'int8' }, 'There is no precision "int9". Did you mean "int8"? There are float32, int8, int8-backward.'],
    ['for a model with no product that is large enough', { precision: 'int8' as const }, 'has no product with a float32 weight of at least 32768 numbers, so that precision "int8" would change nothing.'],
  ])('%s is refused', async (_, options, message) => {
    await expect(openModel(file, options)).rejects.toThrow(message);
  }); // prettier-ignore

  it('is refused elsewhere than on the CPU, before anything is done', async () => {
    const model = await openModel(file, { precision: int8 });
    const message = 'precision "int8" computes on the CPU, but the provider is "webgpu". Leave one of the two out.';
    await expect(model.session({ provider: 'webgpu' })).rejects.toThrow(message);
    await expect(trained(model, { provider: 'webgpu' })).rejects.toThrow(message);
  });
});

function tensorOf({ tensors }: Adapter): Tensor {
  const all = [...tensors.values()].flatMap(({ data }) => Array.from(data, Number));
  return float32(all, [all.length]);
}

function rowsOf({ dims, data }: Tensor, parity: number): Tensor {
  const width = dims[1]!;
  const values = Array.from(data, Number).filter((_, i) => Math.floor(i / width) % 2 === parity);
  return float32(values, [values.length / width, width]);
}
