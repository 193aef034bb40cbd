/** @file Edits of weights: what the written model holds, and that large tensors are computed one at a time. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { modelOf } from '../../../../../test/support/graphs.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { rawBytes, tensorProto } from '../../graph/tensorData.ts';
import { type GraphIndex, indexWhole } from '../../graph/walk.ts';
import { constantWeight, floatTensor } from '../../match/weights/index.ts';
import { float32, tensor } from '../../runtime/tensor.ts';
import { editWeights, type WeightEdit } from './editWeights.ts';

/** Above and below the size from which a tensor is computed when it is written. */
const [WIDE, NARROW] = [1040, 8];

function numbers(count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = ((i * 7919) % 1000) / 500 - 1;
  return values;
}

/** A layer with a weight of each storage, `width` wide, and two layers that share one. */
function modelWith(width: number): ModelProto {
  const square = [width, width];
  const count = width * width;
  const matMul = (weight: string): NodeProto => ({ opType: 'MatMul', name: weight, input: ['x', weight], output: [`${weight}/y`] }); // prettier-ignore
  const initializers: TensorProto[] = [
    tensorProto('plain', float32(numbers(count), square)),
    tensorProto('shared', float32(numbers(count), square)),
    tensorProto('packed', float32(numbers(2 * count), [width, 2 * width])),
    floatTensor('half', 'float16', numbers(count), square),
    tensorProto('codes', tensor('int8', Int8Array.from(numbers(count).map((value) => Math.round(100 * value))), square)), // prettier-ignore
    tensorProto('scale', float32([0.01], [])),
  ];
  return modelOf({
    opset: 17,
    inputs: [{ name: 'x', type: 'float32', shape: [1, width] }],
    outputs: ['plain/y'],
    initializers,
    nodes: [
      { opType: 'Split', input: ['packed'], output: ['first', 'second'], attribute: [{ name: 'axis', type: 2, i: 1 }] },
      { opType: 'Cast', input: ['half'], output: ['wide'], attribute: [{ name: 'to', type: 2, i: 1 }] },
      { opType: 'DequantizeLinear', input: ['codes', 'scale'], output: ['int8'] },
      ...['plain', 'first', 'second', 'wide', 'int8', 'shared'].map(matMul),
      { ...matMul('shared'), name: 'other', output: ['other/y'] },
    ],
  });
}

const layers = ['plain', 'first', 'second', 'wide', 'int8', 'shared'] as const;

function weightOf(name: string, index: GraphIndex): NonNullable<ReturnType<typeof constantWeight>> {
  return constantWeight(name, index)!;
}

/** 2 · (w + 1) by two edits of each layer's weight, one after the other. */
function editsOf(model: ModelProto, calls: string[]): WeightEdit[] {
  const index = indexWhole(model.graph!);
  const changes = [(value: number): number => value + 1, (value: number): number => 2 * value];
  return layers.flatMap((name) => {
    const node = model.graph!.node!.find((each) => each.name === name)!;
    return changes.map((change): WeightEdit => ({
      stored: weightOf(name, index),
      readers: [{ node, name }],
      module: name,
      change: (before) => {
        calls.push(name);
        return before.map(change);
      },
    }));
  });
}

function relativeError(found: Float32Array, wanted: Float32Array): number {
  const [difference, size] = [found.map((value, i) => value - wanted[i]!), wanted].map((each) => Math.hypot(...each.subarray(0, 50_000))); // prettier-ignore
  return difference! / size!;
}

test.each([
  ['large', WIDE],
  ['small', NARROW],
] as const)('%s weights of every storage are written as edited', (_, width) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-edit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const base = path.join(folder, 'base.onnx');
  writeOnnx(base, modelWith(width));
  const { model } = openOnnx(base);
  const before = indexWhole(model.graph);
  const { model: edited, untied, rounding } = editWeights(model, editsOf(model, []));
  const out = path.join(folder, 'edited.onnx');
  writeOnnx(out, edited);

  const { graph } = openOnnx(out).model;
  const after = indexWhole(graph);
  const errors = new Map<string, number>();
  for (const name of layers) {
    const read = graph.node!.find((node) => node.name === name)!.input![1]!;
    const found = weightOf(read, after).read();
    const wanted = weightOf(name, before)
      .read()
      .map((value) => 2 * (value + 1));
    errors.set(name, relativeError(found, wanted));
    expect(errors.get(name)).toBeLessThan({ int8: 0.01, wide: 1e-3 }[name as string] ?? 1e-6);
  }
  expect(isDeepStrictEqual(weightOf('shared', after).read(), weightOf('shared', before).read())).toBe(true);
  expect(untied).toEqual(['shared']);
  expect(rounding.map(({ module }) => module)).toEqual(['wide', 'wide', 'int8', 'int8']);
  expect(rounding[2]!.relativeError).toBeGreaterThan(1e-4);
  expect(rounding[2]!.relativeError).toBeLessThan(0.01);
  // After the last edit it is how far the weight is from the exact result of all.
  expect(rounding[1]!.relativeError).toBeCloseTo(errors.get('wide')!, 5);
  expect(rounding[3]!.relativeError).toBeCloseTo(errors.get('int8')!, 4);
});

test('large tensors are computed when they are written, and not before', () => {
  const calls: string[] = [];
  const model = modelWith(WIDE);
  const edits = editsOf(model, calls).filter(({ stored }) => stored.storage === 'float32');
  const { graph } = editWeights(model, edits).model;
  expect(calls).toEqual([]);
  const packed = graph!.initializer!.find(({ name }) => name === 'packed')!;
  const raw = rawBytes(packed)!;
  expect(raw).toEqual({ length: 2 * WIDE * WIDE * 4, compute: expect.any(Function) as () => Uint8Array });
  if ('compute' in raw) raw.compute();
  expect(calls).toEqual(['first', 'first', 'second', 'second']);
});
