/** @file Weights behind DequantizeLinear, against ONNX Runtime, before and after they are written again. */

import { describe, expect, test } from 'vitest';
import { difference } from '../../../../../test/support/graphs.ts';
import {
  asChanges,
  codeTypes,
  constantValue,
  randomCodes,
  randomFloats,
  readTensorOf,
  type WeightBuilder,
} from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { Random } from '../../runtime/random.ts';
import { sizeOf, tensor } from '../../runtime/tensor.ts';
import { codeType, readCodes } from './codes.ts';
import { dequantizedWeight, holdsCodes } from './dequantizeLinear.ts';
import { floatTensor } from './plain.ts';
import type { NamedTensor, StoredWeight } from './stored.ts';

const random = new Random(2);
const dims = [5, 12] as const;

interface Form {
  readonly type: keyof typeof codeTypes;
  readonly scales: readonly number[];
  readonly zeros?: 'random' | number;
  readonly axis?: number;
  readonly block?: number;
  readonly scaleType?: 'float32' | 'float16';
  readonly behind?: (g: WeightBuilder, value: Value) => Value;
}

function dequantized(
  g: WeightBuilder,
  { type, scales, zeros, axis, block, scaleType = 'float32', behind }: Form,
): Value {
  const range = codeType(codeTypes[type])!;
  const scaleValues = randomFloats(scales, random).map((value) => 0.05 + 0.02 * value);
  const zeroCodes = randomCodes(zeros === 'random' ? range : { min: Number(zeros ?? 0), max: Number(zeros ?? 0) }, scales, random); // prettier-ignore
  const inputs = [
    g.codes(type, randomCodes(type === 'int32' ? { min: -1000, max: 1000 } : range, dims, random), dims),
    g.add(floatTensor('', scaleType, scaleValues, scales)),
    ...(zeros === undefined ? [] : [g.codes(type, zeroCodes, scales)]),
  ];
  const value = g.emit('DequantizeLinear', inputs, { axis, block_size: block });
  return behind?.(g, value) ?? value;
}

const forms: Readonly<Record<string, Form>> = {
  'one scale for all': { type: 'int8', scales: [], zeros: 0 },
  'one scale in a list': { type: 'int8', scales: [1], axis: 0 },
  'one scale, one zero point': { type: 'uint8', scales: [], zeros: 97 },
  'one scale, zero point in the middle': { type: 'uint8', scales: [], zeros: 128 },
  'a scale for each row': { type: 'int8', scales: [5], axis: 0, zeros: 0 },
  'a scale for each column': { type: 'int8', scales: [12] },
  'axis counted from the end': { type: 'uint8', scales: [12], axis: -1, zeros: 'random' },
  'a zero point for each row': { type: 'uint8', scales: [5], axis: 0, zeros: 'random' },
  'blocks along columns': { type: 'int8', scales: [5, 3], axis: 1, block: 4, zeros: 0 },
  'blocks along rows': { type: 'uint8', scales: [1, 12], axis: 0, block: 5, zeros: 'random' },
  '4 bits': { type: 'int4', scales: [5], axis: 0, zeros: 0 },
  '4 bits without a sign, in blocks': { type: 'uint4', scales: [5, 2], axis: 1, block: 6, zeros: 'random' },
  'half scales': { type: 'int8', scales: [5], axis: 0, scaleType: 'float16' },
  '16 bits': { type: 'int16', scales: [5], axis: 0 },
  '16 bits without a sign': { type: 'uint16', scales: [5], axis: 0, zeros: 'random' },
  'transposed behind it': { type: 'int8', scales: [5], axis: 0, behind: (g, value) => g.Transpose(value, [1, 0]) },
};

/** How far a code is from the next, of each number. */
function steps(stored: StoredWeight, written: readonly NamedTensor[]): Float32Array {
  const [codes] = written;
  const type = codeType(codes!.tensor.dataType)!;
  // The same weight with every code one higher, or lower where it is the highest.
  const other = readCodes(codes!.tensor)!.map((code) => (code < type.max ? code + 1 : code - 1));
  const moved = { name: codes!.name, tensor: { ...codes!.tensor, rawData: packed(other, codes!) } };
  const [a, b] = [stored.read(asChanges(written)), stored.read(asChanges([moved, ...written.slice(1)]))];
  return a.map((value, i) => Math.abs(value - b[i]!));
}

function packed(codes: Int32Array, { tensor: proto }: NamedTensor): Uint8Array {
  return constantValue((g) => g.codes(nameOf(proto.dataType!), codes, proto.dims!)).index.constants.get('w0')!
    .rawData as Uint8Array;
}

function nameOf(dataType: number): keyof typeof codeTypes {
  return (Object.keys(codeTypes) as (keyof typeof codeTypes)[]).find((name) => codeTypes[name] === dataType)!;
}

describe.each(Object.entries(forms))('%s', (_, form) => {
  test('reads what ONNX Runtime computes', async () => {
    const { stored, computed } = constantValue((g) => dequantized(g, form));
    expect(stored!.storage).toBe(form.type);
    expect(difference(readTensorOf(stored!), await computed())).toBeLessThan(form.scaleType ? 2e-3 : 1e-6);
  });

  test('quantising what was dequantised changes nothing', () => {
    const { stored } = constantValue((g) => dequantized(g, form));
    for (const { name, tensor: after } of stored!.write(stored!.read())) {
      const before = stored!.tensors.find((each) => each.name === name)!.tensor;
      expect(after.rawData, name).toEqual(before.rawData);
    }
  });

  test('other numbers are written to within half a step, and read as ONNX Runtime reads them', async () => {
    const { stored, computed } = constantValue((g) => dequantized(g, form));
    const wanted = randomFloats(stored!.dims, random);
    const written = stored!.write(wanted);
    expect(written.map(({ name }) => name)).toEqual(stored!.tensors.map(({ name }) => name));
    for (const { name, tensor: after } of written) {
      const { dims: shape, dataType } = stored!.tensors.find((each) => each.name === name)!.tensor;
      expect(after).toMatchObject({ dims: shape, dataType });
    }
    const found = readTensorOf(stored!, written);
    expect(difference(found, await computed(written))).toBeLessThan(form.scaleType ? 2e-3 : 1e-6);
    const step = steps(stored!, written);
    // The scale itself is rounded where it is stored as a half.
    const slack = form.scaleType ? 0.05 : 1e-3;
    for (const [i, value] of wanted.entries()) {
      expect(Math.abs(value - (found.data[i] as number))).toBeLessThanOrEqual((0.5 + slack) * step[i]!);
    }
    // No coarser than the numbers need: they span a range of at most 2.
    const levels = 2 ** codeType(codeTypes[form.type])!.bits - 2;
    for (const each of step) expect(each).toBeLessThanOrEqual(2.03 / levels);
  });
});

test('rows that stay keep their codes and scales', () => {
  for (const zeros of [0, 'random'] as const) {
    const { stored } = constantValue((g) => dequantized(g, { type: zeros === 0 ? 'int8' : 'uint8', scales: [5], axis: 0, zeros })); // prettier-ignore
    const values = stored!.read();
    const changed = values.map((value, i) => (Math.floor(i / 12) === 2 ? 3 * value + 0.4 : value));
    const [codes, scales] = stored!.write(changed);
    const [before, after] = [stored!.tensors[0].tensor, codes!.tensor].map((each) => readCodes(each)!) as [Int32Array, Int32Array]; // prettier-ignore
    const scaleBefore = readFloats(stored!.tensors[1]!.tensor);
    const scaleAfter = readFloats(scales!.tensor);
    for (let row = 0; row < 5; row++) {
      const isSame = row !== 2;
      expect(after.slice(row * 12, row * 12 + 12).join() === before.slice(row * 12, row * 12 + 12).join()).toBe(isSame);
      expect(scaleAfter[row] === scaleBefore[row]).toBe(isSame);
    }
  }
});

test('a symmetric weight stays symmetric, and a weight of 7 bits keeps the upper bit free', () => {
  const size = sizeOf(dims) * 2;
  const codes = Array.from({ length: size }, (_, i) => (i % 129) - 64);
  const { stored } = constantValue((g) =>
    g.emit('DequantizeLinear', [g.codes('int8', codes, [10, 12]), g.floats([0.1], []), g.codes('int8', [0], [])]),
  );
  const written = stored!.write(randomFloats([10, 12], random));
  const after = readCodes(written[0]!.tensor)!;
  expect(Math.max(...after.map(Math.abs))).toBeLessThanOrEqual(64);
  expect(Math.max(...after.map(Math.abs))).toBeGreaterThanOrEqual(63);
  expect([...readCodes(written[2]!.tensor)!]).toEqual([0]);
});

test('weights that are all of one sign, around a zero point at the edge of the codes', async () => {
  // uint8 without a zero point holds no negative numbers: these are as near as they can be.
  const plain = constantValue((g) =>
    g.emit('DequantizeLinear', [g.codes('uint8', [0, 10, 200], [3]), g.floats([0.1], [])]),
  );
  const positive = plain.stored!.write(Float32Array.of(1, 2, 51));
  expect(difference(readTensorOf(plain.stored!, positive), tensor('float32', Float32Array.of(1, 2, 51), [3]))).toBeLessThan(1e-6); // prettier-ignore
  const mixed = plain.stored!.write(Float32Array.of(-1, 2, 51));
  expect([...plain.stored!.read(asChanges(mixed))].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([0, 2, 51]);
  expect(difference(readTensorOf(plain.stored!, mixed), await plain.computed(mixed))).toBeLessThan(1e-6);
  // With a zero point that is stored, the codes move.
  const stored = constantValue((g) =>
    g.emit('DequantizeLinear', [g.codes('uint8', [0, 10, 200], [3]), g.floats([0.1], []), g.codes('uint8', [0], [])]),
  );
  const written = stored.stored!.write(Float32Array.of(-1, 2, 50));
  expect(difference(readTensorOf(stored.stored!, written), tensor('float32', Float32Array.of(-1, 2, 50), [3]))).toBeLessThan(0.11 / 50); // prettier-ignore
  expect(difference(readTensorOf(stored.stored!, written), await stored.computed(written))).toBeLessThan(1e-6);
});

test('zeros, and a group of zeros', () => {
  const { stored } = constantValue((g) => dequantized(g, forms['a zero point for each row']!));
  const zeros = new Float32Array(60);
  expect(stored!.read(asChanges(stored!.write(zeros))).every((value) => value === 0)).toBe(true);
  const oneRow = randomFloats(dims, random).fill(0, 12, 24);
  const found = stored!.read(asChanges(stored!.write(oneRow)));
  expect(found.slice(12, 24).every((value) => value === 0)).toBe(true);
});

describe('is no weight', () => {
  const x: Value = { name: 'x', type: 'float32', shape: [] };
  const none: Readonly<Record<string, (g: WeightBuilder) => Value>> = {
    'an activation': (g) => g.emit('DequantizeLinear', [x, g.floats([1], [])]),
    'a scale that is computed': (g) => g.emit('DequantizeLinear', [g.codes('int8', [1, 2], [2]), x]),
    'a zero point that is computed': (g) => g.emit('DequantizeLinear', [g.codes('int8', [1, 2], [2]), g.floats([1], []), x]), // prettier-ignore
    'as many scales as no dimension has': (g) =>
      g.emit('DequantizeLinear', [g.codes('int8', [1, 2, 3, 4], [2, 2]), g.floats([1, 2, 3], [3])]),
    'blocks that do not fit': (g) =>
      g.emit('DequantizeLinear', [g.codes('int8', [1, 2, 3, 4], [2, 2]), g.floats([1, 2], [2, 1])], { axis: 1, block_size: 1 }), // prettier-ignore
    'an axis that is none': (g) =>
      g.emit('DequantizeLinear', [g.codes('int8', [1, 2, 3, 4], [2, 2]), g.floats([1, 2], [2])], { axis: 2 }),
    'float8': (g) => g.emit('DequantizeLinear', [g.add({ dims: [2], dataType: 17, rawData: Uint8Array.of(1, 2) }), g.floats([1], [])]), // prettier-ignore
    'nothing': (g) => g.emit('DequantizeLinear', [g.codes('int8', [], [0]), g.floats([1], [])]),
  }; // prettier-ignore
  test.each(Object.entries(none))('%s', (_, build) => expect(constantValue(build).stored).toBeUndefined());
  test('a node that is alone', () => {
    const { index } = constantValue((g) => g.floats([1], []));
    expect(dequantizedWeight({ opType: 'DequantizeLinear', output: ['y'] }, index)).toBeUndefined();
  });
});

test('codes that can be a weight', () => {
  const held = Object.entries(codeTypes).filter(([, dataType]) => holdsCodes({ dataType }));
  expect(held.map(([name]) => name)).toEqual(['uint8', 'int8', 'uint4', 'int4', 'uint2', 'int2']);
  expect(holdsCodes({ dataType: 1 })).toBe(false);
});

test('a part is written into its own rows, whose neighbours keep their codes', async () => {
  const whole = constantValue((g) =>
    g.Split(dequantized(g, { type: 'int8', scales: [5], axis: 0, zeros: 0 }), [2, 3], 0).at(-1)!,
  ); // prettier-ignore
  const { stored } = whole;
  expect(stored).toMatchObject({ isPart: true, dims: [3, 12] });
  const written = stored!.write(randomFloats([3, 12], random));
  expect(difference(readTensorOf(stored!, written), await whole.computed(written))).toBeLessThan(1e-6);
  const [before, after] = [stored!.tensors[0], written[0]!].map(({ tensor: proto }) => readCodes(proto)!);
  expect(after!.slice(0, 24)).toEqual(before!.slice(0, 24));
  expect(after!.slice(24)).not.toEqual(before!.slice(24));
});
