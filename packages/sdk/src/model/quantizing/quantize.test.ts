/** @file Quantised files: what their weights are, what they give, that they are trained on and merged into, and what stays as it is. */

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, ModelBuilder } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { taskOf } from '../../../fixtures/memorise.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import type { Value } from '../../graph/builder.ts';
import type { AttributeProto } from '../../graph/proto.ts';
import { isInFile, readBytes } from '../../graph/bytes.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import type { QuantizedBits } from '../../ops/quantization/forms.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, tensor, type Tensor } from '../../runtime/tensor.ts';
import { meanSquaredError } from '../../train/losses/index.ts';
import { merge } from '../merging/merge.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';
import { quantize } from './quantize.ts';
import type { QuantizeOptions, QuantizeResult } from './quantizeOptions.ts';
import { collectGarbage } from '../../runtime/garbage.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-quantize-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let files = 0;
const newFile = (): string => path.join(folder, `${files++}.onnx`);

const [INPUTS, HIDDEN] = [72, 96];
const base = newFile();
writeOnnx(base, linearNet({ inputs: INPUTS, hidden: HIDDEN, layers: 2, outputs: 4 }));
const random = new Random(5);
const x: Feeds = { x: float32(Float32Array.from({ length: 24 * INPUTS }, () => random.normal()), [24, INPUTS]) }; // prettier-ignore

async function quantized(
  bits: QuantizedBits,
  options: Partial<QuantizeOptions> = {},
  from = base,
): Promise<{ readonly model: Model; readonly result: QuantizeResult; readonly file: string }> {
  const file = newFile();
  const result = await quantize(await openModel(from), file, { bits, smallest: 1, ...options });
  return { model: await openModel(file), result, file };
}

async function answers(model: Model, feeds: Feeds = x, adapter?: Adapter, output = 'logits'): Promise<Tensor> {
  const session = await model.session({ provider: 'cpu', worker: false, threads: 1, ...(adapter && { adapters: { adapter } }) }); // prettier-ignore
  try {
    return (await session.run(feeds, { adapter: adapter ? 'adapter' : null }))[output]!;
  } finally {
    await session.release();
  }
}

function off(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  const [a, b] = [Array.from(found), Array.from(wanted)];
  return Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);
}

/** Weights as `[out, in]`, by module. */
function weightsOf(model: Model): Map<string, Float32Array> {
  return new Map(
    model.sites().map(({ path: own, weight: { stored, layout }, weightShape: [out, width] }) => {
      const values = stored.read();
      if (layout === 'out-in') return [own, values];
      return [own, Float32Array.from(values, (_, i) => values[(i % width!) * out! + Math.floor(i / width!)]!)];
    }),
  );
}

/** Largest sum of two neighbours along `in`, per int8 matrix `[in, out]`: above 128, some processors saturate. */
function largestPairs(model: Model): number[] {
  return (model.onnx.model.graph.initializer ?? []).flatMap(({ dims = [], dataType, rawData }) => {
    if (dataType !== 3 || dims.length !== 2) return [];
    const codes = new Int8Array(readBytes(rawData!).slice().buffer);
    const columns = dims[1]!;
    const sums = Array.from(codes, (code, i) => {
      const isFirst = Math.floor(i / columns) % 2 === 0;
      return isFirst ? Math.abs(code + (codes[i + columns] ?? 0)) : 0;
    });
    return [Math.max(...sums)];
  });
}

const forms: readonly (readonly [bits: QuantizedBits, operator: string, weights: number, outputs: number])[] = [
  // A step of 7 bits is 1/63 of the largest number, and numbers here are uniform: a rounding is off by 1/√12 of it.
  [8, 'MatMulIntegerToFloat', 0.016, 0.03],
  [4, 'MatMulNBits', 0.08, 0.15],
  ['nf4', 'MatMulBnb4', 0.13, 0.2],
];

describe.each(forms)('a file of %s bits', (bits, operator, mostOfWeights, mostOfOutputs) => {
  it('has the modules of the base, its weights in the form, and says how far they are off', async () => {
    const [before, { model, result, file }] = [await openModel(base), await quantized(bits)];
    const shapes = (of: Model) => of.modules().map(({ path: own, kind, weightShape, bias }) => ({ own, kind, weightShape, bias })); // prettier-ignore
    expect(shapes(model)).toEqual(shapes(before));
    expect(openOnnx(file).model.graph.node!.filter(({ opType }) => opType === operator)).toHaveLength(3);
    expect(result.kept).toEqual([]);
    const [exact, rounded] = [weightsOf(before), weightsOf(model)];
    expect(result.layers.map(({ module }) => module)).toEqual(['encoder.0', 'encoder.1', 'head']);
    for (const { module, error } of result.layers) {
      expect(error).toBeCloseTo(off(rounded.get(module)!, exact.get(module)!), 6);
      expect(error).toBeGreaterThan(mostOfWeights / 5);
      expect(error).toBeLessThan(mostOfWeights);
    }
    expect(result.bytesBefore).toBe(statSync(base).size);
    expect(result.bytesAfter).toBe(statSync(file).size);
    expect(result.bytesAfter).toBeLessThan(result.bytesBefore / (bits === 8 ? 2.5 : 4));
  });

  it('answers as float32 within what the form rounds', async () => {
    const [exact, { model }] = [await answers(await openModel(base)), await quantized(bits)];
    const error = off((await answers(model)).data as Float32Array, exact.data as Float32Array);
    expect(error).toBeGreaterThan(1e-3);
    expect(error).toBeLessThan(mostOfOutputs);
  });

  it('computes with the weights that it holds', async () => {
    const { model } = await quantized(bits);
    const weights = weightsOf(model);
    const biases = new Map((openOnnx(base).model.graph.initializer ?? []).map((each) => [each.name, each]));
    const layer = (rows: number[][], module: string, then: (value: number) => number): number[][] => {
      const [weight, bias] = [weights.get(module)!, readFloats(biases.get(`${module}.bias`)!)];
      return rows.map((row) =>
        Array.from(bias, (b, o) => then(row.reduce((sum, value, i) => sum + value * weight[o * row.length + i]!, b))),
      );
    };
    const rows = Array.from({ length: 24 }, (_, i) => Array.from((x['x']!.data as Float32Array).slice(i * INPUTS, (i + 1) * INPUTS))); // prettier-ignore
    const hidden = layer(layer(rows, 'encoder.0', Math.tanh), 'encoder.1', Math.tanh);
    const wanted = layer(hidden, 'head', (value) => value).flat();
    // The inputs are rounded to 8 bits too, but not with nf4.
    expect(off((await answers(model)).data as Float32Array, wanted)).toBeLessThan(bits === 'nf4' ? 1e-5 : 0.012);
  });

  it('is trained on, and what is learned is merged into it', async () => {
    const { model } = await quantized(bits);
    const target = { target: float32(Float32Array.from({ length: 24 * 4 }, () => random.normal()), [24, 4]) }; // prettier-ignore
    const task = taskOf(24, x, target, (g, outputs, wanted) =>
      meanSquaredError(g, outputs['logits']!, wanted['target']!),
    );
    const run = await train(model, { task, lora: { r: 4, targetModules: ['encoder.0', 'head'] }, steps: 6, batchSize: 24, lr: 0.02, threads: 1 }); // prettier-ignore
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
    const { adapter } = await run.done;
    const served = await answers(model, x, adapter);
    expect(off(served.data as Float32Array, (await answers(model)).data as Float32Array)).toBeGreaterThan(0.1);
    const merged = newFile();
    const { beside } = await merge(model, adapter, merged);
    // Eight bits lose less than a fiftieth of a change so large.
    expect(beside.includes('head')).toBe(bits !== 8);
    expect(off((await answers(await openModel(merged))).data as Float32Array, served.data as Float32Array)).toBeLessThan(bits === 8 ? 0.01 : 1e-5); // prettier-ignore
    // Anew in the same form, and off by what that rounds.
    await merge(model, adapter, merged, { requantize: true, overwrite: true });
    const again = await openModel(merged);
    expect(again.modules().map(({ storage }) => storage)).toEqual(model.modules().map(({ storage }) => storage));
    expect(off((await answers(again)).data as Float32Array, served.data as Float32Array)).toBeLessThan(mostOfOutputs);
    if (bits === 8) for (const each of [model, again]) expect(largestPairs(each)).toEqual([127, 127, 127]);
  });
});

describe('an adapter', () => {
  const target = { target: float32(Float32Array.from({ length: 24 * 4 }, () => random.normal()), [24, 4]) }; // prettier-ignore
  const task = taskOf(24, x, target, (g, outputs, wanted) =>
    meanSquaredError(g, outputs['logits']!, wanted['target']!),
  );
  async function trained(model: Model, from?: Adapter): Promise<Adapter> {
    const start = from ? { from } : { lora: { r: 4, targetModules: ['encoder.0', 'head'] } };
    const run = await train(model, { task, ...start, steps: 4, batchSize: 24, lr: 0.02, threads: 1 });
    return (await run.done).adapter;
  }
  async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
    const warnings: string[] = [];
    const listen = ({ message }: Error): unknown => warnings.push(message);
    process.on('warning', listen);
    try {
      await work();
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('warning', listen);
    }
    return warnings;
  }

  it('of a quantised base is one of its base, and the other way round, with a warning', async () => {
    const [float32Model, four, eight] = [await openModel(base), (await quantized(4)).model, (await quantized(8)).model];
    const [ofFloats, ofFour] = [await trained(float32Model), await trained(four)];
    expect(ofFour.notes.quantizedBase).toEqual(four.quantizedFrom);
    expect(four.quantizedFrom).toEqual({ from: await float32Model.digest(), bits: 4, blockSize: 32 });
    expect(ofFloats.notes.quantizedBase).toBeUndefined();
    const told = (there: string, here: string) => expect.stringMatching(new RegExp(`^The adapter learned on these weights in ${there}, and ".*" has them in ${here}: answers differ a little`)); // prettier-ignore
    expect(await warningsOf(() => float32Model.place(ofFour))).toEqual([told('4 bits', 'float32')]);
    expect(await warningsOf(() => four.place(ofFloats))).toEqual([told('float32', '4 bits')]);
    expect(await warningsOf(() => eight.place(ofFour))).toEqual([told('4 bits', '8 bits')]);
    // Once for each.
    expect(await warningsOf(async () => [await eight.place(ofFour), await four.place(ofFour), await float32Model.place(ofFloats)])).toEqual([]); // prettier-ignore
    // Merged into the base it is nearer to what was trained than the base is.
    const [merged, learned] = [newFile(), (await answers(four, x, ofFour)).data as Float32Array];
    await merge(float32Model, ofFour, merged);
    const found = (await answers(await openModel(merged))).data as Float32Array;
    expect(off(found, learned)).toBeLessThan(0.5 * off((await answers(float32Model)).data as Float32Array, learned));
  });

  it('of other weights, and one that began with LoftQ, is none of the base', async () => {
    const file = newFile();
    const { adapter: begun } = await quantize(await openModel(base), file, { bits: 4, smallest: 1, loftq: { r: 2 } });
    const adapter = await trained(await openModel(file), begun);
    expect(adapter.notes.quantizedBase).toMatchObject({ bits: 4, loftq: true });
    for (const each of [begun!, adapter])
      await expect((await openModel(base)).place(each)).rejects.toThrow(/had lost to rounding \(LoftQ\), and ".*" has not lost it/); // prettier-ignore
    const other = newFile();
    writeOnnx(other, linearNet({ inputs: INPUTS, hidden: HIDDEN, layers: 2, outputs: 4, seed: 2 }));
    const own = await trained((await quantized(4, {}, other)).model);
    await expect((await openModel(base)).place(own)).rejects.toThrow(/was trained on other weights/);
  });

  it('keeps what it notes of its base', async () => {
    const adapter = await trained((await quantized('nf4')).model);
    const place = path.join(folder, 'adapter');
    await adapter.save(place);
    expect((await loadAdapter(place)).notes).toEqual(adapter.notes);
  });
});

describe('data', () => {
  const outputs = (weight: Float32Array): number[] => {
    const rows = x['x']!.data as Float32Array;
    return Array.from({ length: 24 * HIDDEN }, (_, at) => {
      const [row, out] = [Math.floor(at / HIDDEN), at % HIDDEN];
      let sum = 0;
      for (let i = 0; i < INPUTS; i++) sum += rows[row * INPUTS + i]! * weight[out * INPUTS + i]!;
      return sum;
    });
  };
  const batches: Feeds[] = [0, 10].map((from) => {
    const rows = from === 0 ? 10 : 14;
    return { x: float32((x['x']!.data as Float32Array).slice(from * INPUTS, (from + rows) * INPUTS), [rows, INPUTS]) };
  });
  const task = taskOf(24, x, { target: x['x']! }, (g, found) => g.ReduceMean(found['logits']!, [0, 1], false));

  it.each([
    ['of batches', batches],
    ['of a task', task],
  ] as const)('%s say how far what each layer gives is off', async (_, data) => {
    const { result, model } = await quantized('nf4', { data });
    const [exact, rounded] = [weightsOf(await openModel(base)), weightsOf(model)];
    const wanted = off(outputs(rounded.get('encoder.0')!), outputs(exact.get('encoder.0')!));
    expect(result.layers[0]!.outputError).toBeCloseTo(wanted, 5);
    expect(result.layers.map(({ outputError }) => outputError! > 0.02 && outputError! < 0.2)).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('decide which layers stay in float32, in place of the weights', async () => {
    const { result: all } = await quantized('nf4', { data: batches });
    const errors = all.layers.map(({ outputError }) => outputError!);
    const [least, middle] = errors.toSorted((a, b) => a - b);
    const { result } = await quantized('nf4', { data: batches, maxError: (least! + middle!) / 2 });
    expect(result.layers.map(({ outputError }) => outputError)).toEqual([least]);
    expect(result.kept.map(({ error }) => error)).toEqual(errors.filter((error) => error !== least));
  });

  it('without examples are refused', async () => {
    await expect(quantized(4, { data: [] })).rejects.toThrow(/the data have no examples/);
  });
});

describe.each([
  ['int4', 4],
  ['nf4', 'nf4'],
] as const)('a model opened in precision %s', (name, bits) => {
  const precision = { name, smallest: 1 } as const;
  const own = new Random(6);
  const target = { target: float32(Float32Array.from({ length: 24 * 4 }, () => own.normal()), [24, 4]) }; // prettier-ignore
  const task = taskOf(24, x, target, (g, outputs, wanted) => meanSquaredError(g, outputs['logits']!, wanted['target']!)); // prettier-ignore
  async function learned(model: Model): Promise<Adapter> {
    const run = await train(model, { task, lora: { r: 4, targetModules: ['encoder.0', 'head'] }, steps: 4, batchSize: 24, lr: 0.02, threads: 1 }); // prettier-ignore
    return (await run.done).adapter;
  }

  it('is the one that quantize writes: answers, digest, and what is learned on it', async () => {
    const [{ model: written }, model] = [await quantized(bits), await openModel(base, { precision })];
    expect(model.quantizedFrom).toEqual(written.quantizedFrom);
    expect(model.weightBytes).toBe(written.weightBytes);
    expect(await model.digest()).toBe(await written.digest());
    expect((await answers(model)).data).toEqual((await answers(written)).data);
    const [a, b] = [await learned(model), await learned(written)];
    expect(a.notes).toEqual(b.notes);
    for (const [tensorName, { data }] of a.tensors) expect(data).toEqual(b.tensors.get(tensorName)!.data);
    // Merged into the float32 file, as an adapter of the written one is.
    const [ofOpened, ofWritten] = [newFile(), newFile()];
    await merge(await openModel(base), a, ofOpened);
    await merge(await openModel(base), b, ofWritten);
    expect(readFileSync(ofOpened)).toEqual(readFileSync(ofWritten));
  });

  it('has its weights in a file that goes with it', { timeout: 20_000 }, async () => {
    const place = async (): Promise<string> => {
      const { onnx } = await openModel(base, { precision });
      const kept = onnx.model.graph.initializer!.flatMap(({ rawData }) => (rawData && isInFile(rawData) ? [rawData.path] : [])); // prettier-ignore
      const [file] = kept.filter((each) => path.dirname(each) === tmpdir());
      expect(existsSync(file!)).toBe(true);
      return file!;
    };
    const file = await place();
    await expect
      .poll(() => {
        collectGarbage();
        return existsSync(file);
      })
      .toBe(false);
  });

  it('is refused where nothing is large enough', async () => {
    await expect(openModel(base, { precision: { name, smallest: 1e6 } })).rejects.toThrow(/No layer of ".*" can be quantised\. "encoder\.0" has a weight of 6912 numbers only, and so on/); // prettier-ignore
    await expect(openModel(base, { precision: { name, blockSize: 20 } })).rejects.toThrow(/blockSize .* must be one of 16, 32, 64, 128, 256/); // prettier-ignore
  });
});

it('notes what it was made from', async () => {
  const { model, file } = await quantized(4, { blockSize: 16 });
  expect(JSON.parse(model.metadata['onnx_lora.quantized']!)).toEqual({
    from: await (await openModel(base)).digest(),
    bits: 4,
    blockSize: 16,
  });
  const node = openOnnx(file).model.graph.node!.find(({ opType }) => opType === 'MatMulNBits')!;
  expect(node.attribute!.find(({ name }) => name === 'block_size')!.i).toBe(16);
});

/**
 * `tokens` → an embedding, a plain layer, one with an outlier, one that is no number, and one that shares the embedding's table.
 * @param largest number of the table, whose others are below a half; none by default
 */
function mixed(largest?: number, isBroken = true): string {
  const builder = new ModelBuilder({ seed: 3 });
  const { g } = builder;
  const table = builder.weight('embed.weight', [40, 16]);
  const tokens: Value = { name: 'tokens', type: 'int64', shape: ['batch', 4] };
  const linear = (value: Value, module: string, weight: Value): Value => {
    const y = g.MatMul(value, weight);
    builder.name(`/${module}/MatMul`);
    return y;
  };
  let value = g.Gather(table, tokens, 0);
  value = g.Relu(linear(value, 'plain', builder.weight('w1', [16, 16])));
  value = linear(value, 'outlier', builder.weight('w2', [16, 16]));
  value = linear(value, 'broken', builder.weight('w3', [16, 16]));
  const logits = linear(value, 'head', g.Transpose(table, [1, 0]));
  builder.name('/head/MatMul', 'logits');
  const model = builder.model([tokens], [{ ...logits, name: 'logits' }]);
  const changed = (name: string, at: number, number: number): void => {
    const i = model.graph.initializer!.findIndex((each) => each.name === name);
    const data = readFloats(model.graph.initializer![i]!).slice();
    data[at] = number;
    model.graph.initializer![i] = tensorProto(name, float32(data, model.graph.initializer![i]!.dims!));
  };
  changed('w2', 5, 400);
  if (isBroken) changed('w3', 7, NaN);
  if (largest !== undefined) changed('embed.weight', 3, largest);
  const file = newFile();
  writeOnnx(file, model);
  return file;
}

describe.each([8, 4, 'nf4'] as const satisfies QuantizedBits[])('an embedding in a file of %s bits', (bits) => {
  const tokens = { tokens: int64([1, 2, 3, 39, 0, 5, 8, 8], [2, 4]) };
  it('has its table in 8 bits, and a layer that shares it a matrix of its own', async () => {
    const from = mixed(undefined, false);
    const { model, result, file } = await quantized(bits, { blockSize: bits === 8 ? undefined : 16 } as never, from);
    expect(result.layers.map(({ module }) => module)).toEqual(['embed', 'plain', 'outlier', 'broken', 'head']);
    expect(result.kept).toEqual([]);
    expect(model.modules().map(({ path: own, kind }) => [own, kind])).toEqual((await openModel(from)).modules().map(({ path: own, kind }) => [own, kind])); // prettier-ignore
    expect(model.modules()[0]!.storage).toBe('int8');
    const floats = (openOnnx(file).model.graph.initializer ?? []).filter(({ dataType, dims = [] }) => dataType === 1 && dims.length > 1); // prettier-ignore
    expect(floats.map(({ name }) => name)).toEqual([]);
    // One step for the whole table, 1/127 of its largest number.
    const [exact, rounded] = [weightsOf(await openModel(from)), weightsOf(model)].map((each) => each.get('embed')!) as [Float32Array, Float32Array]; // prettier-ignore
    const step = Math.max(...exact.map(Math.abs)) / 127;
    rounded.forEach((value, i) => expect(value).toBeCloseTo(step * Math.round(exact[i]! / step), 6));
    expect(off((await answers(model, tokens)).data as Float32Array, (await answers(await openModel(from), tokens)).data as Float32Array)).toBeLessThan(bits === 8 ? 0.05 : 0.3); // prettier-ignore
  });
});

describe('stay as they are', () => {
  it('layers that are too far off, shared, or broken, with the reason', async () => {
    const { model, result } = await quantized(8, { maxError: 0.03, excludeModules: ['embed'] }, mixed());
    expect(result.layers.map(({ module }) => module)).toEqual(['plain', 'outlier']);
    expect(result.kept.map(({ module, reason }) => [module, reason])).toEqual([
      ['head', expect.stringMatching(/^shares its weight with Gather/)],
      ['broken', 'holds numbers that are not finite'],
    ]);
    expect(model.modules().map(({ path: own, storage }) => [own, storage])).toEqual([
      ['embed', 'float32'],
      ['plain', 'int8'],
      ['outlier', 'int8'],
      ['broken', 'float32'],
      ['head', 'float32'],
    ]);
    const tokens = { tokens: int64([1, 2, 3, 4], [1, 4]) };
    expect((await answers(model, tokens)).dims).toEqual([1, 4, 40]);
  });

  it('layers that share their weight with one that is too far off', async () => {
    const { result } = await quantized(8, { maxError: 0.03, targetModules: ['embed', 'head', 'plain'] }, mixed(40));
    expect(result.layers.map(({ module }) => module)).toEqual(['plain']);
    expect(result.kept.map(({ module, reason }) => [module, reason])).toEqual([
      ['embed', expect.stringMatching(/^would be [\d.]+% off$/)],
      ['head', expect.stringMatching(/^shares its weight with Gather/)],
    ]);
  });

  it('layers that no name asks for', async () => {
    const { result, model } = await quantized('nf4', { targetModules: ['encoder.1', 'head'], excludeModules: ['head'] }); // prettier-ignore
    expect(result).toMatchObject({ layers: [{ module: 'encoder.1' }], kept: [] });
    expect(model.modules().map(({ storage }) => storage)).toEqual(['float32', '4-bit floats, blocks of 64', 'float32']);
  });
});

/** Both branches of an If multiply what is outside with one weight, as the two of a merged decoder do. */
function branching(): string {
  const builder = new ModelBuilder({ seed: 4 });
  const { g } = builder;
  const [input, flag]: Value[] = [
    { name: 'x', type: 'float32', shape: ['batch', INPUTS] },
    { name: 'flag', type: 'bool', shape: [] },
  ];
  const weight = builder.weight('w', [INPUTS, 32]);
  const branch = (name: string, factor: number): AttributeProto => {
    const inner = g.inner(name);
    const y = inner.MatMul(inner.Mul(input!, factor), weight);
    inner.nodes.at(-1)!.name = '/shared/MatMul';
    const again = inner.Relu(y);
    return { name, type: 5, g: { name, node: inner.nodes, initializer: [...inner.initializers], output: [{ name: again.name }] } }; // prettier-ignore
  };
  g.nodes.push({ opType: 'If', name: '/If', input: ['flag'], output: ['logits'], attribute: [branch('then_branch', 1), branch('else_branch', -2)] }); // prettier-ignore
  const file = newFile();
  writeOnnx(file, builder.model([input!, flag!], [{ name: 'logits', type: 'float32', shape: ['batch', 32] }]));
  return file;
}

it.each([8, 4, 'nf4'] as const)('a layer in both branches of an If is one of %s bits in both', async (bits) => {
  const from = branching();
  const { model, result, file } = await quantized(bits, {}, from);
  expect(result).toMatchObject({ layers: [{ module: 'shared' }], kept: [] });
  expect((openOnnx(file).model.graph.initializer ?? []).map(({ name }) => name)).not.toContain('w');
  for (const flag of [1, 0]) {
    const feeds = { ...x, flag: tensor('bool', Uint8Array.of(flag), []) };
    const [found, wanted] = [await answers(model, feeds), await answers(await openModel(from), feeds)];
    expect(off(found.data as Float32Array, wanted.data as Float32Array)).toBeLessThan(bits === 8 ? 0.03 : 0.15);
  }
});

describe('is refused', () => {
  it.each([
    [{ bits: 3 }, /bits \(--bits\) must be one of 8, 4, nf4, but it is 3/],
    [{ bits: 4, blockSize: 24 }, /must be one of 16, 32, 64, 128, 256, which ONNX Runtime has products for, but it is 24/],
    [{ bits: 8, blockSize: 32 }, /is for 4 bits and nf4/],
    [{ bits: 4, maxError: 0 }, /maxError \(--max-error\) must be a number above 0/],
    [{ bits: 4, maxError: 0.001 }, /No layer of .* can be quantised. "encoder.0" would be \d\.\d% off, and so on \(3 layers\)/],
    [{ bits: 4, smallest: 1e6 }, /"encoder.0" has a weight of 6912 numbers only/],
    [{ bits: 4, targetModules: ['encoder.7'] }, /encoder\.7/],
  ] as const)('%j', async (options, message) => {
    const file = newFile();
    const done = quantize(await openModel(base), file, { smallest: 1, ...options } as never);
    await expect(done).rejects.toThrow(message);
    expect(() => statSync(file)).toThrow('ENOENT');
  }); // prettier-ignore

  it('the base itself, and a file that is there', async () => {
    const model = await openModel(base);
    const before = readFileSync(base);
    await expect(quantize(model, base, { bits: 4 })).rejects.toThrow(/is the base model itself/);
    const file = newFile();
    writeFileSync(file, 'mine');
    await expect(quantize(model, file, { bits: 4 })).rejects.toThrow(/is there already/);
    expect([readFileSync(base).equals(before), readFileSync(file, 'utf8')]).toEqual([true, 'mine']);
  });

  it('a file that is quantised already', async () => {
    const { model } = await quantized(8);
    await expect(quantize(model, newFile(), { bits: 4, smallest: 1 })).rejects.toThrow(/"encoder.0" is int8 already/);
  });
});
