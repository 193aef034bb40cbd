/** @file Products that read mapped weights compute what ONNX Runtime does of the plain graph. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { difference, modelFrom } from '../../../../../test/support/graphs.ts';
import { float } from '../../graph/attributes.ts';
import type { Value } from '../../graph/builder.ts';
import { isInFile } from '../../graph/bytes.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { floatTensor } from '../../match/weights/plain.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import { CONTRIB } from '../domains.ts';
import { mappedWeights } from './mappedWeights.ts';
import { sessionModel } from './sessionModel.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mapped-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const types = ['float32', 'float16', 'bfloat16'] as const;
const WIDTH = 12;
const numbers = (random: Random, count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal()); // prettier-ignore

/** A graph of some products with weights behind random nodes; as a file where `inFile`. */
function drawn(seed: number, inFile: boolean): { readonly model: ModelProto; readonly feeds: Feeds } {
  const random = new Random(seed);
  const g = new WeightBuilder(17, 'g/');
  const rows = 1 + random.index(5);
  const flat: Value = { name: 'x', type: 'float32', shape: [rows, WIDTH] };
  const deep: Value = { name: 'deep', type: 'float32', shape: [2, rows, WIDTH] };
  const ids: Value = { name: 'ids', type: 'int64', shape: [3] };
  const outputs: Value[] = [];
  for (let i = 0; i < 6; i++) {
    const type = types[random.index(3)]!;
    const out = 5 + random.index(20);
    const [isStoredTurned, isTurned, isLate] = [random.index(2) === 1, random.index(2) === 1, random.index(2) === 1];
    const dims = isStoredTurned ? [out, WIDTH] : [WIDTH, out];
    const stored = g.add(floatTensor('', type, numbers(random, sizeOf(dims)), dims), `weight${i}`);
    const wide = (value: Value): Value => (type === 'float32' ? value : g.Cast(value, dataTypeNumber('float32')));
    const turn = (value: Value): Value => (isStoredTurned === isTurned ? value : g.Transpose(value, [1, 0]));
    // Now in × out, or for `isTurned` out × in.
    const weight = isLate ? wide(turn(stored)) : turn(wide(stored));
    const bias = g.floats(numbers(random, out), [out]);
    const kind = random.index(4);
    if (kind === 0) outputs.push(g.Gemm(flat, weight, random.index(2) === 1 ? bias : undefined, { transB: isTurned }));
    else if (kind === 1)
      outputs.push(g.emit('FusedMatMul', [deep, weight], { transB: Number(isTurned), alpha: float(1 + random.index(2)) }, CONTRIB)); // prettier-ignore
    else outputs.push(g.MatMul(kind === 2 ? deep : flat, isTurned ? g.Transpose(weight, [1, 0]) : weight));
    if (random.index(2) === 1) outputs.push(g.Gather(wide(stored), ids, 0));
  }
  const used = new Set(g.nodes.flatMap(({ input }) => input ?? []));
  const inputs = [flat, deep, ids].filter(({ name }) => used.has(name));
  const model = modelFrom(g, inputs, outputs);
  const all: Record<string, Tensor> = {
    x: float32(numbers(random, rows * WIDTH), flat.shape as number[]),
    deep: float32(numbers(random, 2 * rows * WIDTH), deep.shape as number[]),
    ids: int64([4, 0, 2], [3]),
  };
  const feeds = Object.fromEntries(inputs.map(({ name }) => [name, all[name]!]));
  if (!inFile) return { model, feeds };
  const file = path.join(folder, `${seed}.onnx`);
  writeOnnx(file, model, 0);
  return { model: openOnnx(file).model, feeds };
}

async function outputsOf(model: ModelProto, feeds: Feeds, widens = false): Promise<Record<string, Tensor>> {
  const { onCpu: _, ...source } = sessionModel(model);
  const options = { provider: 'cpu', threads: 1, prepack: false, purpose: 'training', mergesEqual: !widens } as const;
  const session = await new OrtRuntime().createSession({ ...source, name: 'mapped' }, options);
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

describe.each([
  { prepack: false, part: 40, inFile: true },
  { prepack: false, part: 1000, inFile: false },
  { prepack: true, part: 40, inFile: true },
])('$prepack, parts of $part', ({ inFile, ...options }) => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))('random graph %i', async (seed) => {
    const { model, feeds } = drawn(seed, inFile);
    const mapped = mappedWeights(model, { ...options, smallest: 1 });
    const [wanted, found] = [await outputsOf(model, feeds), await outputsOf(mapped?.model ?? model, feeds, mapped?.widens)]; // prettier-ignore
    expect(Object.keys(found)).toEqual(Object.keys(wanted));
    for (const [name, tensor] of Object.entries(wanted)) {
      expect(found[name]!.dims, name).toEqual(tensor.dims);
      expect(difference(found[name]!, tensor), name).toBeLessThan(1e-6);
    }
  });
});

describe('a weight of 16 bits', () => {
  const g = new WeightBuilder(17, 'g/');
  const values = numbers(new Random(1), 40 * WIDTH);
  const x: Value = { name: 'x', type: 'float32', shape: [3, WIDTH] };
  const stored = g.add(floatTensor('', 'bfloat16', values, [40, WIDTH]), 'weight');
  const weight = g.Transpose(g.Cast(stored, dataTypeNumber('float32')), [1, 0]);
  const y = g.MatMul(x, weight);
  const back = g.Gemm(y, weight, undefined, { transB: true });
  const file = path.join(folder, 'both.onnx');
  writeOnnx(file, modelFrom(g, [x], [y, back]), 0);
  const { model } = openOnnx(file);

  it('is read by both directions from one place in the file, some rows at a time', () => {
    const mapped = mappedWeights(model, { prepack: false, part: 10 * WIDTH, smallest: 1 })!;
    const { initializer = [], node = [], input = [] } = mapped.model.graph!;
    const parts = initializer.filter(({ dataType }) => dataType === dataTypeNumber('bfloat16'));
    expect(parts.map(({ dims }) => dims)).toEqual([1, 2, 3, 4].map(() => [10, WIDTH]));
    const whole = rawBytes(model.graph!.initializer!.find(({ name }) => name === 'weight')!);
    for (const [i, part] of parts.entries()) {
      const bytes = rawBytes(part)!;
      if (!isInFile(bytes) || !whole || !isInFile(whole)) throw new TypeError('not in the file');
      expect(bytes).toEqual({ ...whole, offset: whole.offset + i * 20 * WIDTH, length: 20 * WIDTH });
    }
    // Else ONNX Runtime would compute their Casts while loading.
    expect(input.map(({ name }) => name)).toEqual(['x', ...parts.map(({ name }) => name)]);
    expect(node.filter(({ opType }) => opType === 'Cast')).toHaveLength(8);
    expect(node.filter(({ opType }) => opType === 'Transpose')).toHaveLength(0);
    expect(mapped.widens).toBe(true);
  });

  it('is widened once where it is packed anyway', () => {
    const mapped = mappedWeights(model, { prepack: true, smallest: 1 })!;
    const operators = mapped.model.graph!.node!.map(({ opType }) => opType);
    expect(operators).toEqual(['Cast', 'FusedMatMul', 'Gemm']);
    expect(mapped.widens).toBe(false);
  });

  it('is left alone if it is small, and in a graph whose inputs are constants', () => {
    expect(mappedWeights(model, { prepack: false })).toBeUndefined();
    const old = mappedWeights({ ...model, irVersion: 3 }, { prepack: false, smallest: 1 })!;
    expect(old.widens).toBe(false);
    expect(old.model.graph!.input).toHaveLength(1);
  });
});
