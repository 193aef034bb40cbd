/** @file Weights of MatMulBnb4, against what ONNX Runtime multiplies with, before and after they are written again. */

import { describe, expect, test } from 'vitest';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import {
  asChanges,
  randomCodes,
  randomFloats,
  readTensorOf,
  WeightBuilder,
  withTensors,
} from '../../../../../test/support/storedWeights.ts';
import { indexWhole } from '../../graph/walk.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { bnb4Weight } from './bnb4.ts';
import type { NamedTensor, StoredWeight } from './stored.ts';

const [K, N, block] = [32, 6, 16];
const random = new Random(5);

function built(quantType: number): {
  readonly stored: StoredWeight;
  readonly computed: (written?: readonly NamedTensor[]) => Promise<Tensor>;
} {
  const g = new WeightBuilder(17);
  const inputs = [
    { name: 'x', type: 'float32', shape: [K, K] } as const,
    g.codes('uint8', randomCodes({ min: 0, max: 255 }, [(N * K) / 2], random), [(N * K) / 2]),
    g.floats(
      randomFloats([(N * K) / block], random).map((value) => 1.5 + value),
      [(N * K) / block],
    ),
  ];
  const product = g.emit('MatMulBnb4', inputs, { K, N, block_size: block, quant_type: quantType }, 'com.microsoft');
  const y = g.Transpose(product, [1, 0]);
  const identity = Float32Array.from({ length: K * K }, (_, i) => (i % (K + 1) === 0 ? 1 : 0));
  const model = modelOf({
    opset: 17,
    inputs: [{ name: 'x', type: 'float32', shape: [K, K] }],
    outputs: [y.name],
    nodes: g.nodes,
    initializers: g.initializers,
  });
  return {
    stored: bnb4Weight(g.nodes[0]!, indexWhole({ node: g.nodes, initializer: g.initializers }))!,
    computed: async (written = []) =>
      (await runOnce(withTensors(model, written), { x: float32(identity, [K, K]) }))[y.name]!,
  };
}

describe.each([
  // The widest gap between neighbouring numbers.
  ['FP4', 0, 1 / 3],
  ['NF4', 1, 0.304],
] as const)('%s', (_, quantType, gap) => {
  test('reads what ONNX Runtime multiplies with', async () => {
    const { stored, computed } = built(quantType);
    expect(stored.dims).toEqual([N, K]);
    expect(difference(readTensorOf(stored), await computed())).toBeLessThan(1e-5);
  });

  test('other numbers become the nearest ones, and read as ONNX Runtime reads them', async () => {
    const { stored, computed } = built(quantType);
    const wanted = randomFloats(stored.dims, random);
    const written = stored.write(wanted);
    const found = readTensorOf(stored, written);
    expect(difference(found, await computed(written))).toBeLessThan(1e-5);
    wanted.forEach((value, i) => {
      const start = i - (i % block);
      const largest = Math.max(...wanted.slice(start, start + block).map(Math.abs));
      expect(Math.abs(value - (found.data[i] as number))).toBeLessThanOrEqual((gap / 2) * largest + 1e-6);
    });
  });

  test('blocks that stay keep their numbers', () => {
    const { stored } = built(quantType);
    const before = stored.read();
    const after = stored.read(asChanges(stored.write(before.map((value, i) => (i < block ? value * 2.5 : value)))));
    // −0 and 0 have a code each in FP4.
    const plain = (values: Float32Array): Float32Array => values.slice(block).map((value) => value + 0);
    expect(plain(after)).toEqual(plain(before));
    expect(after.slice(0, block)).not.toEqual(before.slice(0, block));
  });
});

test('another kind, and a size that does not fit, are no weight', () => {
  const g = new WeightBuilder(17);
  const inputs = [
    { name: 'x', type: 'float32', shape: [1, K] } as const,
    g.codes('uint8', [1, 2], [2]),
    g.floats([1], [1]),
  ];
  for (const quantType of [0, 7]) {
    g.emit('MatMulBnb4', inputs, { K, N, block_size: block, quant_type: quantType }, 'com.microsoft');
    expect(bnb4Weight(g.nodes.at(-1)!, indexWhole({ node: g.nodes, initializer: g.initializers }))).toBeUndefined();
  }
});
