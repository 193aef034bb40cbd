/** @file Weights that are stored as floats of any width: rounding, against ONNX Runtime's own. */

import { describe, expect, test } from 'vitest';
import { difference } from '../../../../../test/support/graphs.ts';
import { asChanges, constantValue, randomFloats, readTensorOf } from '../../../../../test/support/storedWeights.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { Random } from '../../runtime/random.ts';
import { float32, tensor } from '../../runtime/tensor.ts';
import { floatTensor, plainWeight } from './plain.ts';

const random = new Random(4);
// Ties, the smallest normal and subnormal numbers, the largest, and what rounds up to the next power of two.
const hard = [0, -0, 1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 2 ** -14, 2 ** -24, 2 ** -25, 3 * 2 ** -25, 1.99999, 65504, -65519, 1e-9, -3.14159]; // prettier-ignore

describe.each(['float32', 'float64', 'float16', 'bfloat16'] as const)('%s', (type) => {
  test('is written as ONNX Runtime casts, and read as it casts back', async () => {
    const values = Float32Array.from([...hard, ...randomFloats([64], random).map((value) => value * 1000)]);
    const dims = [values.length];
    const stored = constantValue((g) => g.add(floatTensor('', type, new Float32Array(values.length), dims)));
    const written = stored.stored!.write(values);
    expect(written[0]!.tensor.dataType).toBe(dataTypeNumber(type));
    const cast = constantValue((g) => g.Cast(g.floats(values, dims), dataTypeNumber(type)));
    const expected = await cast.computed();
    expect(difference(readTensorOf(stored.stored!, written), expected)).toBe(0);
    expect(difference(await stored.computed(written), expected)).toBe(0);
    expect(stored.stored!.storage).toBe(type);
  });
});

test('a Constant node is read like an initializer', () => {
  const t = tensorProto('', float32(Float32Array.of(1, 2), [2]));
  const { stored } = constantValue((g) => {
    g.nodes.push({ opType: 'Constant', output: ['c'], attribute: [{ name: 'value', t }] });
    return g.Identity({ name: 'c', type: 'float32', shape: [2] });
  });
  expect([...stored!.read()]).toEqual([1, 2]);
  expect(stored!.tensors[0].name).toBe('c');
});

test('what was changed before is what is read', () => {
  const { stored } = constantValue((g) => g.floats([1, 2], [2]));
  expect([...stored!.read(asChanges(stored!.write(Float32Array.of(3, 4))))]).toEqual([3, 4]);
  expect([...stored!.read()]).toEqual([1, 2]);
});

test('integers are no floats', () => {
  expect(
    plainWeight({ name: 'w', tensor: tensorProto('w', tensor('int64', BigInt64Array.of(1n), [1])) }),
  ).toBeUndefined();
});
