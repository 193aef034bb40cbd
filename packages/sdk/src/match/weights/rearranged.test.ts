/** @file Weights behind nodes that move numbers: what is read is what ONNX Runtime computes, and so after writing. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { difference } from '../../../../../test/support/graphs.ts';
import {
  constantValue,
  randomFloats,
  readTensorOf,
  type WeightBuilder,
} from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { Random } from '../../runtime/random.ts';
import { sizeOf, tensor } from '../../runtime/tensor.ts';
import { constantWeight } from './index.ts';
import { permute } from './rearranged.ts';

const random = new Random(1);
const weight = (g: WeightBuilder, ...dims: number[]): Value => g.floats(randomFloats(dims, random), dims);

describe('permute', () => {
  const dims = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  const arrangement = dims.chain((each) =>
    fc.tuple(fc.constant(each), fc.shuffledSubarray(each.map((_, i) => i), { minLength: each.length })),
  ); // prettier-ignore

  test('is undone by the inverse order', () => {
    fc.assert(
      fc.property(arrangement, ([shape, perm]) => {
        const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
        const inverse = perm.map((_, axis) => perm.indexOf(axis));
        const there = permute(values, shape, perm);
        const back = permute(there, perm.map((axis) => shape[axis]!), inverse); // prettier-ignore
        expect(back).toEqual(values);
      }),
    );
  });

  test('puts each number where its coordinates say', () => {
    fc.assert(
      fc.property(arrangement, ([shape, perm]) => {
        const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
        const result = permute(values, shape, perm);
        const after = perm.map((axis) => shape[axis]!);
        for (let at = 0; at < values.length; at++) {
          const position = coordinates(at, shape);
          const moved = perm.map((axis) => position[axis]!);
          expect(result[flat(moved, after)]).toBe(at);
        }
      }),
    );
  });

  function coordinates(at: number, shape: readonly number[]): number[] {
    return shape.map((dim, i) => Math.floor(at / sizeOf(shape.slice(i + 1))) % dim);
  }
  function flat(position: readonly number[], shape: readonly number[]): number {
    return position.reduce((sum, each, i) => sum * shape[i]! + each, 0);
  }
});

const forms: Readonly<Record<string, readonly [build: (g: WeightBuilder) => Value, isPart?: boolean, opset?: number]>> =
  {
    'a constant itself': [(g) => weight(g, 3, 4)],
    Identity: [(g) => g.Identity(weight(g, 3, 4))],
    'Cast to a wider type': [(g) => g.Cast(weight(g, 3, 4), 11)],
    'Transpose without an order': [(g) => g.emit('Transpose', [weight(g, 2, 3, 4)])],
    'Transpose of four dimensions': [(g) => g.Transpose(weight(g, 2, 3, 4, 5), [2, 0, 3, 1])],
    'Reshape with -1 and 0': [(g) => g.Reshape(weight(g, 2, 3, 4), [0, -1])],
    Squeeze: [(g) => g.Squeeze(weight(g, 3, 1, 4, 1), [1, -1])],
    'Squeeze of all ones': [(g) => g.emit('Squeeze', [weight(g, 3, 1, 4, 1)])],
    'Squeeze with an attribute': [(g) => g.Squeeze(weight(g, 3, 1, 4), [1]), false, 11],
    Unsqueeze: [(g) => g.Unsqueeze(weight(g, 3, 4), [0, -1])],
    Flatten: [(g) => g.emit('Flatten', [weight(g, 2, 3, 4)], { axis: 2 })],
    'Flatten from the end': [(g) => g.emit('Flatten', [weight(g, 2, 3, 4)], { axis: -1 })],
    'Slice of rows': [(g) => g.Slice(weight(g, 6, 4), [2], [5], [0]), true],
    'Slice of columns, counted from the end': [(g) => g.Slice(weight(g, 3, 6), [-4], [-1], [-1]), true],
    'Slice to the end': [(g) => g.Slice(weight(g, 3, 6), [2], [9e9], [1]), true],
    'Slice without axes': [(g) => g.emit('Slice', [weight(g, 5, 2), g.ints([1]), g.ints([4])]), true],
    'Slice in the middle': [(g) => g.Slice(weight(g, 2, 6, 3), [1], [4], [1], [1]), true],
    'Split by sizes': [(g) => g.Split(weight(g, 3, 9), [2, 4, 3], 1)[1]!, true],
    'Split with an attribute': [(g) => g.Split(weight(g, 9, 2), [2, 4, 3], 0)[2]!, true, 11],
    'Split into equal parts': [(g) => g.emitMany('Split', [weight(g, 3, 8)], 2, { axis: 1 }, '')[1]!, true, 17],
    'Split into parts, the last smaller': [
      (g) => g.emitMany('Split', [weight(g, 7, 2)], 3, { axis: -2, num_outputs: 3 })[2]!,
      true,
    ],
    'all together': [
      (g) => {
        const packed = g.Transpose(g.Reshape(weight(g, 4, 6, 2), [4, -1]), [1, 0]);
        return g.Transpose(g.Slice(g.Split(g.Identity(packed), [8, 4], 0)[0]!, [2], [7], [0]), [1, 0]);
      },
      true,
    ],
  };

describe.each(Object.entries(forms))('%s', (_, [build, isPart = false, opset]) => {
  test('reads what ONNX Runtime computes, also after writing', async () => {
    const { stored, computed } = constantValue(build, opset);
    const before = await computed();
    expect(stored).toBeDefined();
    expect(stored!.isPart).toBe(isPart);
    expect(difference(readTensorOf(stored!), before)).toBe(0);

    const wanted = randomFloats(stored!.dims, random);
    const written = stored!.write(wanted);
    expect(written.map(({ name }) => name)).toEqual(stored!.tensors.map(({ name }) => name));
    expect(difference(readTensorOf(stored!, written), tensor('float32', wanted, stored!.dims))).toBe(0);
    expect(difference(await computed(written), tensor('float32', wanted, stored!.dims))).toBe(0);
  });
});

test('parts are written one after the other, each into its own place', async () => {
  const whole = constantValue((g) => {
    const parts = g.Split(weight(g, 2, 7), [3, 4], 1);
    return g.Concat(parts, 1);
  });
  const parts = ['g/Split_0.0', 'g/Split_0.1'].map((name) => constantWeight(name, whole.index));
  const wanted = [randomFloats([2, 3], random), randomFloats([2, 4], random)];
  const first = parts[0]!.write(wanted[0]!);
  const both = parts[1]!.write(wanted[1]!, new Map(first.map(({ name, tensor: proto }) => [name, proto])));
  const result = (await whole.computed(both)).data as Float32Array;
  expect([...result]).toEqual([...wanted[0]!.slice(0, 3), ...wanted[1]!.slice(0, 4), ...wanted[0]!.slice(3), ...wanted[1]!.slice(4)]); // prettier-ignore
});

describe('is no weight', () => {
  const none: Readonly<Record<string, (g: WeightBuilder) => Value>> = {
    'a computed value': (g) => g.Add(weight(g, 2, 2), 1),
    'a value of the model': (g) => g.Transpose({ name: 'x', type: 'float32', shape: [2, 2] }, [1, 0]),
    'integers that are cast': (g) => g.Cast(g.codes('int8', [1, 2], [2]), 1),
    'a Cast to integers': (g) => g.Cast(weight(g, 2), 7),
    'a Slice of two axes': (g) => g.Slice(weight(g, 4, 4), [0, 0], [2, 2], [0, 1]),
    'a Slice in steps': (g) => g.Slice(weight(g, 4, 4), [0], [4], [0], [2]),
    'an empty Slice': (g) => g.Slice(weight(g, 4, 4), [3], [3], [0]),
    'a Slice whose start the model computes': (g) =>
      g.emit('Slice', [weight(g, 4), { name: 'x', type: 'int64', shape: [1] }, g.ints([4])]),
    'a Reshape to a computed shape': (g) => g.Reshape(weight(g, 4), { name: 'x', type: 'int64', shape: [2] }),
    'a chain without end': (g) => Array.from({ length: 20 }).reduce<Value>((value) => g.Identity(value), weight(g, 2)),
  };
  test.each(Object.entries(none))('%s', (_, build) => expect(constantValue(build).stored).toBeUndefined());
});
