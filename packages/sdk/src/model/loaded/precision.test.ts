/** @file Runs on a base in integers, and in float16: what stays in float32, how they continue, what their adapters serve and merge into. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { outputOf, taskOf } from '../../../fixtures/memorise.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { inferNode } from '../../ops/infer.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import { Random } from '../../runtime/random.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { meanSquaredError } from '../../train/losses/index.ts';
import { merge } from '../merging/merge.ts';
import type { Model } from './model.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';
import type { TrainOptions } from '../training/options/options.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-precision-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const { model: graph, output } = mlp((layer) => golden(`base.${layer}.weight`));
const file = path.join(folder, 'mlp.onnx');
writeOnnx(file, graph);
const int8: BasePrecision = { name: 'int8', saturates: true, smallest: 1 };
const float16: BasePrecision = { name: 'float16', smallest: 1 };
const inputs = { x: golden('base.calibration.x') };
const targets = { target: golden('target') };
const task = taskOf(64, inputs, targets, (g, outputs, wanted) =>
  meanSquaredError(g, outputs[output]!, wanted['target']!),
);

/** A precision, where it computes here, and a weight beside which it makes nothing of others, or that it cannot hold. */
interface Here {
  readonly precision: BasePrecision;
  readonly provider: 'cpu' | 'webgpu';
  readonly large: number;
  readonly error: string;
}

const onCpu: Here = { precision: int8, provider: 'cpu', large: 1000, error: '100%' };
const onGpu: Here = { precision: float16, provider: 'webgpu', large: 1e5, error: 'overflow' };

/** Undefined where float16 computes here. */
const whyNoHalf = await (async (): Promise<string | undefined> => {
  try {
    await (await (await openModel(file, { precision: float16 })).session({ provider: 'webgpu' })).release();
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return error.message;
    throw error;
  }
})();
const everyHere = whyNoHalf === undefined ? [onCpu, onGpu] : [onCpu];

interface Trained {
  readonly losses: readonly number[];
  readonly warnings: readonly string[];
  readonly adapter: Adapter;
}

async function trained(model: Model, options: Partial<TrainOptions> = {}): Promise<Trained> {
  const run = await train(model, {
    task,
    lora: { r: 4, loraAlpha: 6, targetModules: ['fc1', 'fc2'] },
    steps: 4,
    batchSize: 16,
    lr: 1e-2,
    threads: 1,
    provider: model.precision?.name === 'float16' ? 'webgpu' : 'cpu',
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

describe.each(everyHere)('a run on a base in $precision.name', ({ precision }) => {
  it('learns as in float32, within what rounding changes, and its adapter notes it', async () => {
    const [exact, rounded] = [
      await trained(await openModel(file)),
      await trained(await openModel(file, { precision })),
    ];
    rounded.losses.forEach((loss, i) => expect(Math.abs(loss / exact.losses[i]! - 1)).toBeLessThan(0.02));
    expect(rounded.losses).not.toEqual(exact.losses);
    expect(rounded.losses.at(-1)).toBeLessThan(rounded.losses[0]!);
    expect(exact.adapter.notes.precision).toBeUndefined();
    expect(rounded.adapter.notes.precision).toEqual({ ...precision, inFloat32: [] });
    expect(off(tensorOf(exact.adapter), tensorOf(rounded.adapter))).toBeLessThan(0.05);
  });

  it('continues to the same bytes, and not in another precision', async () => {
    const model = await openModel(file, { precision });
    const whole = await trained(model);
    const place = path.join(folder, `run-${precision.name}`);
    await trained(model, { checkpoints: { folder: place, every: 2, keep: 9 } });
    const rest = await trained(model, { resume: path.join(place, 'step-2') });
    expect(rest.losses).toEqual(whole.losses.slice(2));
    expect(bytesOf(rest.adapter)).toBe(bytesOf(whole.adapter));
    expect(rest.adapter.notes).toEqual(whole.adapter.notes);
    await expect(trained(await openModel(file), { resume: path.join(place, 'step-2') })).rejects.toThrow(
      `precision was ${precision.name} and is not set`,
    );
  });
});

describe.skipIf(whyNoHalf !== undefined)('gradients in float16', () => {
  it.each([1e-7, 1e5])('are neither zero nor infinite for a loss that is multiplied by %s', async (factor) => {
    const scaled = taskOf(64, inputs, targets, (g, outputs, wanted) =>
      g.Mul(meanSquaredError(g, outputs[output]!, wanted['target']!), factor),
    );
    // Adam moves by signs and ratios, whatever the size.
    const options = { task: scaled, optimizer: { name: 'adamw', eps: 1e-30 } } as const;
    const [exact, half] = [
      await trained(await openModel(file), options),
      await trained(await openModel(file, { precision: float16 }), options),
    ];
    expect(half.adapter.notes.precision?.inFloat32).toEqual([]);
    expect(half.warnings).toEqual([]);
    expect(off(tensorOf(exact.adapter), tensorOf(half.adapter))).toBeLessThan(0.05);
  });
});

it.skipIf(whyNoHalf !== undefined)('a session in float16 tells of values that it cannot hold, once', async () => {
  const model = await openModel(file, { precision: float16 });
  const told: string[] = [];
  const session = await model.session({ provider: 'webgpu', onWarning: (text) => told.push(text) });
  await session.run(inputs);
  expect(told).toEqual([]);
  const large = float32((inputs.x.data as Float32Array).map((value) => 1e6 * value), inputs.x.dims);
  for (let run = 0; run < 2; run++) await session.run({ x: large });
  await session.release();
  expect(told.length).toBe(1);
  expect(told[0]).toMatch(/ holds NaN\. In precision "float16", values beyond 65,504 are infinite; /);
}); // prettier-ignore

describe('a base with gradients in integers', () => {
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
});

describe.each(everyHere)('a product that $precision.name changes too much', ({ precision, provider, large, error }) => {
  // One number of each column is so large that integers make zeros of the others, which are all that x reads, or is infinite.
  const [rows, columns] = golden('base.fc1.weight').dims as [number, number];
  const weight = float32((golden('base.fc1.weight').data as Float32Array).slice(), [rows, columns]);
  for (let row = 0; row < rows; row++) (weight.data as Float32Array)[row * columns] = large;
  const x = float32((inputs.x.data as Float32Array).slice(), inputs.x.dims);
  for (let row = 0; row < x.dims[0]!; row++) (x.data as Float32Array)[row * columns] = 0;
  const own = taskOf(64, { x }, targets, (g, outputs, wanted) =>
    meanSquaredError(g, outputs[output]!, wanted['target']!),
  );
  const spoilt = path.join(folder, `spoilt-${precision.name}.onnx`);
  const initializer = graph.graph!.initializer!.map((each) => (each.name === 'fc1.weight' ? tensorProto('fc1.weight', weight) : each)); // prettier-ignore
  writeOnnx(spoilt, { ...graph, graph: { ...graph.graph, initializer } });

  it('stays in float32, in training and in serving, and is told of', async () => {
    const model = await openModel(spoilt, { precision });
    const { adapter, warnings, losses } = await trained(model, { task: own });
    expect(adapter.notes.precision).toEqual({ ...precision, inFloat32: ['forward fc1'] });
    expect(warnings.join()).toMatch(
      new RegExp(
        `^1 of \\d products in precision "${precision.name}" stay in float32. Rounding changes 1 too much on the first batch: fc1(\\.weight)? ${error}\\.$`,
      ),
    );
    const exact = await trained(await openModel(spoilt), { task: own });
    expect(Math.abs(losses[0]! / exact.losses[0]! - 1)).toBeLessThan(0.02);
    const inFloats = await openModel(spoilt);
    const answer = async (from: Model, own?: Adapter): Promise<Tensor> => {
      const machine = { provider: from.precision ? provider : 'cpu', threads: 1 } as const;
      const session = await from.session({ ...machine, ...(own && { adapters: { own } }) });
      const outputs = await session.run({ x }, { adapter: own ? 'own' : null });
      await session.release();
      return outputs[output]!;
    };
    expect(off(await answer(inFloats, adapter), await answer(model, adapter))).toBeLessThan(0.05);
    // Without the note, the layer is in integers; what is infinite in float16 never is.
    if (precision.name === 'int8') expect(off(await answer(inFloats), await answer(model))).toBeGreaterThan(0.3);
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
      /^\d of \d products in precision "int8" stay in float32. They are needed for the loss to be within 2% of that in float32, and for every gradient to have a cosine of 0.995 with it \(now (0\.99[5-9]|1\.0)\d+\)\./,
    );
  });
});

describe('a convolution over time', () => {
  const random = new Random(7);
  const normals = (dims: readonly number[], size = 1): Tensor =>
    float32(Float32Array.from({ length: sizeOf(dims) }, () => size * random.normal()), dims); // prettier-ignore
  const samples = normals([64, 4, 40]);
  // A loud one in each example, by which its others are rounded.
  for (let i = 0; i < 64; i++) samples.data[160 * i + 40] = 24;
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  g.initializers.push(
    ...[['encoder.conv.weight', normals([24, 4, 3], 0.3)], ['fc1.weight', normals([8, 24])]].map(([name, tensor]) => tensorProto(name as string, tensor as Tensor)), // prettier-ignore
  );
  const heard = g.Relu(g.emit('Conv', [{ name: 'samples', type: 'float32' }, { name: 'encoder.conv.weight', type: 'float32' }], { strides: [2] })); // prettier-ignore
  const y = g.Gemm(g.ReduceMean(heard, [2], false), { name: 'fc1.weight', type: 'float32' }, undefined, {
    transB: true,
  });
  const place = path.join(folder, 'heard.onnx');
  writeOnnx(place, modelFrom(g, [{ name: 'samples', type: 'float32', shape: ['batch', 4, 40] }], [y]));
  const taskWith = (target: Tensor): typeof task =>
    taskOf(64, { samples }, { target }, (b, outputs, wanted) =>
      meanSquaredError(b, outputs[y.name]!, wanted['target']!),
    );
  const options = { lora: { r: 2, loraAlpha: 4, targetModules: ['fc1'] } };

  it('is computed in integers, in training and in serving', async () => {
    const own = taskWith(normals([64, 8]));
    const [exact, rounded] = [await openModel(place), await openModel(place, { precision: int8 })];
    const [wanted, found] = [await trained(exact, { task: own, ...options }), await trained(rounded, { task: own, ...options })]; // prettier-ignore
    expect(found.warnings).toEqual([]);
    expect(found.losses[0]).not.toBe(wanted.losses[0]);
    found.losses.forEach((loss, i) => expect(Math.abs(loss / wanted.losses[i]! - 1)).toBeLessThan(0.02));
    const answers = await Promise.all(
      [exact, rounded].map(async (model) => {
        const session = await model.session({ provider: 'cpu', threads: 1 });
        const [all, one] = [await session.run({ samples }), await session.run({ samples: { ...samples, dims: [1, 4, 40], data: samples.data.slice(0, 160) } as Tensor })]; // prettier-ignore
        await session.release();
        // The outputs of an example depend on no other.
        expect(one[y.name]!.data).toEqual(all[y.name]!.data.slice(0, 8));
        return all[y.name]!;
      }),
    );
    expect(off(...(answers as [Tensor, Tensor]))).toBeLessThan(0.03);
    expect(off(...(answers as [Tensor, Tensor]))).toBeGreaterThan(1e-4);
  });

  it('is the first to stay in float32 where the loss asks for it', async () => {
    const exact = await openModel(place);
    const answers = await outputOf({ model: exact, feeds: { samples }, task, lossOf: () => 0 });
    const near = (factor: number): Tensor =>
      float32(Float32Array.from(Array.from(answers.data, Number), (value) => factor * value), answers.dims); // prettier-ignore
    const { adapter, warnings } = await trained(await openModel(place, { precision: int8 }), { task: taskWith(near(1.2)), ...options }); // prettier-ignore
    expect(adapter.notes.precision?.inFloat32).toEqual(['forward encoder.conv']);
    expect(warnings.join()).toMatch(
      /^1 of 2 products in precision "int8" stay in float32. They are needed for the loss/,
    );
  });
});

describe.each(everyHere)('an adapter of a base in $precision.name', ({ precision, provider }) => {
  it('is served as it was measured, and elsewhere with a warning', async () => {
    const [exact, rounded] = [await openModel(file), await openModel(file, { precision })];
    const { adapter } = await trained(rounded);
    const told: string[] = [];
    const outputs: Tensor[] = [];
    for (const model of [exact, rounded]) {
      const machine = { provider: model.precision ? provider : 'cpu', threads: 1 } as const;
      const session = await model.session({ ...machine, adapters: { adapter }, onWarning: (text) => told.push(text) });
      outputs.push((await session.run(inputs, { adapter: 'adapter' }))[output]!);
      const mixed = await session.run(inputs, { adapter: Array.from({ length: 64 }, (_, i) => (i % 2 ? 'adapter' : null)) });
      const alone = [(await session.run(inputs))[output]!, outputs.at(-1)!];
      for (const [parity, each] of alone.entries()) expect(off(rowsOf(each, parity), rowsOf(mixed[output]!, parity))).toBeLessThan(1e-6);
      await session.release();
    }
    expect(told).toEqual([
      `"adapter" learned on a base in ${precision.name}, and the model computes in float32: answers differ a little. Open the model with precision "${precision.name}" to have them as they were measured.`,
    ]);
    expect(off(...(outputs as [Tensor, Tensor]))).toBeLessThan(0.05);
    expect(off(...(outputs as [Tensor, Tensor]))).toBeGreaterThan(0);
  }); // prettier-ignore

  it('is merged into the numbers of the file', async () => {
    const [exact, rounded] = [await openModel(file), await openModel(file, { precision })];
    const { adapter } = await trained(rounded);
    const places = await Promise.all(
      [exact, rounded].map(async (model, i) => {
        const place = path.join(folder, `merged-${precision.name}-${i}.onnx`);
        await merge(model, adapter, place);
        return readFileSync(place).toString('base64');
      }),
    );
    expect(places[1]).toBe(places[0]);
  });

  it('keeps its note in its file', async () => {
    const { adapter } = await trained(await openModel(file, { precision }), { steps: 1 });
    await adapter.save(path.join(folder, 'adapter'), { overwrite: true });
    const { loadAdapter } = await import('../opening/loadAdapter.ts');
    expect((await loadAdapter(path.join(folder, 'adapter'))).notes.precision).toEqual(adapter.notes.precision);
  });
});

describe('a precision', () => {
  it.skipIf(whyNoHalf === undefined)(`float16 is not computed here: ${whyNoHalf}`, async () => {
    const model = await openModel(file, { precision: float16 });
    await expect(model.session({ provider: 'webgpu' })).rejects.toThrow('webgpu');
  });

  it('float16 is refused on the CPU, before anything is done', async () => {
    const model = await openModel(file, { precision: float16 });
    const message =
      'precision "float16" computes on a GPU, but the provider is "cpu". On the CPU it is no faster than float32, and takes no less memory. Name the provider of a GPU, such as "webgpu" or "cuda", or leave precision out.';
    await expect(model.session({ provider: 'cpu' })).rejects.toThrow(message);
    await expect(model.session()).rejects.toThrow('but the provider is "auto"');
    await expect(trained(model, { provider: 'cpu' })).rejects.toThrow(message);
  });

  it.each([
    ['of no such name', { precision: 'int9' as 'int8' }, 'There is no precision "int9". Did you mean "int4" or "int8"? There are float32, int8, int8-backward, float16, bfloat16, int4, nf4.'],
    ['for a model with no product that is large enough', { precision: { name: 'int8', smallest: 1e6 } as const }, 'has no product with a float32 weight of at least 1000000 numbers, so that precision "int8" would change nothing.'],
  ])('%s is refused', async (_, options, message) => {
    await expect(openModel(file, options)).rejects.toThrow(message);
  }); // prettier-ignore

  it('is that of all products, where none has a weight of the default size', async () => {
    const model = await openModel(file, { precision: { name: 'int8', saturates: true } });
    expect(model.precision).toEqual(int8);
  });

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
