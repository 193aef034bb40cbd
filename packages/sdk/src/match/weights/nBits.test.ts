/** @file Weights of MatMulNBits, against what ONNX Runtime multiplies with, before and after they are written again. */

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
import type { Value } from '../../graph/builder.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { indexWhole } from '../../graph/walk.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import { nBitsWeight } from './nBits.ts';
import { floatTensor } from './plain.ts';
import type { NamedTensor, StoredWeight } from './stored.ts';

const random = new Random(3);
const bytes = { min: 0, max: 255 };

interface Form {
  readonly bits: 2 | 4 | 8;
  readonly K: number;
  readonly N: number;
  readonly block: number;
  readonly zeros?: 'packed' | 'floats';
}

const forms: Readonly<Record<string, Form>> = {
  '4 bits': { bits: 4, K: 32, N: 6, block: 16 },
  '4 bits, the last block half full': { bits: 4, K: 40, N: 6, block: 16 },
  '4 bits, an odd width': { bits: 4, K: 37, N: 3, block: 16 },
  '4 bits with zero points, blocks odd in number': { bits: 4, K: 40, N: 5, block: 16, zeros: 'packed' },
  '4 bits with zero points that are floats': { bits: 4, K: 40, N: 5, block: 16, zeros: 'floats' },
  '4 bits, one block': { bits: 4, K: 32, N: 4, block: 32, zeros: 'packed' },
  '8 bits': { bits: 8, K: 40, N: 6, block: 16 },
  '8 bits with zero points, an odd width': { bits: 8, K: 33, N: 6, block: 16, zeros: 'packed' },
  '2 bits': { bits: 2, K: 32, N: 6, block: 16 },
  '2 bits with zero points': { bits: 2, K: 48, N: 5, block: 16, zeros: 'packed' },
};

interface Built {
  readonly stored: StoredWeight | undefined;
  /** The weight as ONNX Runtime has it: what the product with the identity gives, transposed. */
  readonly computed: (written?: readonly NamedTensor[]) => Promise<Tensor>;
}

function built({ bits, K, N, block, zeros }: Form, more: Readonly<Record<number, Value>> = {}, K2 = K): Built {
  const g = new WeightBuilder(17);
  const blocks = Math.ceil(K / block);
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const scales = randomFloats([N * blocks], random).map((value) => (0.06 + 0.02 * value) / bits);
  const middle = 2 ** (bits - 1);
  const inputs: (Value | undefined)[] = [
    { name: 'x', type: 'float32', shape: [K, K] },
    g.codes('uint8', randomCodes(bytes, [N, blocks, (block * bits) / 8], random), [N, blocks, (block * bits) / 8]),
    g.floats(scales, [N * blocks]),
    zeros === 'packed'
      ? g.codes('uint8', randomCodes(bytes, [N * zeroBytes], random), [N * zeroBytes])
      : zeros && g.floats(randomFloats([N * blocks], random).map((value) => middle + value), [N * blocks]), // prettier-ignore
  ];
  for (const [at, value] of Object.entries(more)) inputs[Number(at)] = value;
  const product = g.emit('MatMulNBits', inputs, { K: K2, N, block_size: block, bits }, 'com.microsoft');
  const y = g.Transpose(product, [1, 0]);
  return {
    stored: nBitsWeight(g.nodes[0]!, indexWhole({ node: g.nodes, initializer: g.initializers })),
    computed: async (written = []) => {
      const identity = new Float32Array(K * K);
      for (let i = 0; i < K; i++) identity[i * K + i] = 1;
      const model = modelOf({
        opset: 17,
        inputs: [{ name: 'x', type: 'float32', shape: [K, K] }],
        outputs: [y.name],
        nodes: g.nodes,
        initializers: g.initializers,
      });
      return (await runOnce(withTensors(model, written), { x: float32(identity, [K, K]) }))[y.name]!;
    },
  };
}

describe.each(Object.entries(forms))('%s', (_, form) => {
  test('reads what ONNX Runtime multiplies with', async () => {
    const { stored, computed } = built(form);
    expect(stored).toMatchObject({ dims: [form.N, form.K], storage: `uint${form.bits}, blocks of ${form.block}` });
    expect(difference(readTensorOf(stored!), await computed())).toBeLessThan(1e-5);
  });

  test('quantising what was dequantised changes no number', () => {
    const { stored } = built(form);
    const before = stored!.read();
    const written = stored!.write(before);
    expect(stored!.read(asChanges(written))).toEqual(before);
    const scales = written.find(({ name }) => name === stored!.tensors[1]!.name)!;
    expect(rawBytes(scales.tensor)).toEqual(rawBytes(stored!.tensors[1]!.tensor));
  });

  test('other numbers are written to within half a step of their block, and read as ONNX Runtime reads them', async () => {
    const { stored, computed } = built(form);
    const wanted = randomFloats(stored!.dims, random);
    const written = stored!.write(wanted);
    for (const { name, tensor: after } of written) {
      const { dims, dataType } = stored!.tensors.find((each) => each.name === name)!.tensor;
      expect(after).toMatchObject({ dims, dataType });
    }
    const found = readTensorOf(stored!, written);
    expect(difference(found, await computed(written))).toBeLessThan(1e-5);
    const levels = 2 ** form.bits - 1;
    for (let o = 0; o < form.N; o++) {
      for (let start = 0; start < form.K; start += form.block) {
        const block = wanted.slice(o * form.K + start, o * form.K + Math.min(start + form.block, form.K));
        const [most, least] = [Math.max(0, ...block), Math.min(0, ...block)];
        // Symmetric codes reach one step further on one side: the scale's sign puts the larger half there.
        const middle = form.zeros === 'floats' ? levels / 2 - 1 : 2 ** (form.bits - 1) - 1;
        const coarsest = form.zeros === 'packed' ? (most - least) / levels : Math.max(most, -least) / middle;
        block.forEach((value, i) => {
          const error = Math.abs(value - (found.data[o * form.K + start + i] as number));
          expect(error).toBeLessThanOrEqual(0.501 * coarsest + 1e-6);
        });
      }
    }
  });

  test('blocks that stay keep their codes', () => {
    const { stored } = built(form);
    const before = stored!.read();
    const wanted = before.map((value, i) => (i < form.block && i < form.K ? value * 2.5 + 0.3 : value));
    const after = stored!.read(asChanges(stored!.write(wanted)));
    const end = Math.min(form.block, form.K);
    expect(after.slice(end)).toEqual(before.slice(end));
    expect(after.slice(0, end)).not.toEqual(before.slice(0, end));
  });
});

test('half scales are rounded as they are stored', async () => {
  const g = new WeightBuilder(17);
  const scales = g.add(floatTensor('', 'float16', [0.1, 0.2], [2]));
  const x: Value = { name: 'x', type: 'float16', shape: [16, 16] };
  g.emit('MatMulNBits', [x, g.codes('uint8', randomCodes(bytes, [16], random), [2, 1, 8]), scales], { K: 16, N: 2, block_size: 16, bits: 4 }, 'com.microsoft'); // prettier-ignore
  const stored = nBitsWeight(g.nodes[0]!, indexWhole({ node: g.nodes, initializer: g.initializers }))!;
  const wanted = randomFloats([2, 16], random);
  const written = stored.write(wanted);
  expect(written[1]!.tensor).toMatchObject({ dims: [2], dataType: 10 });
  expect(difference(readTensorOf(stored, written), tensor('float32', wanted, [2, 16]))).toBeLessThan(0.52 / 7);
});

describe('is no weight', () => {
  const x: Value = { name: 'x2', type: 'float32', shape: [] };
  const form = forms['4 bits']!;
  test.each([
    ['codes that are computed', { 1: x }],
    ['scales that are computed', { 2: x }],
    ['zero points that are computed', { 3: x }],
    ['columns in another order', { 4: x }],
  ])('%s', (_, more) => expect(built(form, more).stored).toBeUndefined());
  test('codes, scales or zero points of another size or type', () => {
    expect(built(form, {}, 48).stored).toBeUndefined();
    const g = new WeightBuilder();
    expect(built(form, { 2: g.floats([1, 2], [2]) }).stored).toBeUndefined();
    expect(built({ ...form, bits: 3 as 4 }).stored).toBeUndefined();
  });
});
