/** @file Codes of four bits: what they stand for, by their layout as documented, by ONNX Runtime's own products, and how near they are. */

import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { integerBlocks, normalFloatBlocks, type Rows } from './blocks.ts';

/** The quantiles of bitsandbytes, as its documentation and appendix E of https://arxiv.org/abs/2305.14314 list them. */
const NF4 = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]; // prettier-ignore

const random = new Random(11);
const [OUT, WIDTH] = [6, 40];
/** Blocks of very different sizes; one of zeros, one of a single sign. */
const values = Float32Array.from({ length: OUT * WIDTH }, (_, i) => {
  const block = Math.floor((i % WIDTH) / 16);
  if (i < 16) return 0;
  return i < 2 * WIDTH && block === 1 ? 3 + random.next() : 10 ** (block - 2) * random.normal();
});
const rows: Rows = { values, out: OUT, width: WIDTH };

/** ONNX Runtime's product with the identity gives the weight: `[width, out]`. */
async function fromKernel(emit: (g: GraphBuilder, x: Value) => Value): Promise<number[]> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const x: Value = { name: 'x', type: 'float32', shape: [WIDTH, WIDTH] };
  const y = emit(g, x);
  const identity = Float32Array.from({ length: WIDTH * WIDTH }, (_, i) => Number(i % (WIDTH + 1) === 0));
  const { [y.name]: found } = await runOnce(modelFrom(g, [x], [y]), { x: float32(identity, [WIDTH, WIDTH]) });
  return Array.from({ length: OUT * WIDTH }, (_, i) => Number(found!.data[(i % WIDTH) * OUT + Math.floor(i / WIDTH)]));
}

const bytes = (data: Uint8Array, ...dims: number[]) => ({ type: 'uint8', dims, data }) as const;

describe('integers in blocks', () => {
  const { codes, scales, zeros, restored } = integerBlocks(rows, 16);
  it('stand for (code − zero) · scale, the lower half of a byte first, each row a byte of its own', () => {
    const half = (from: Uint8Array, at: number): number => (from[at >> 1]! >> (4 * (at & 1))) & 15;
    for (let i = 0; i < values.length; i++) {
      const [row, at] = [Math.floor(i / WIDTH), i % WIDTH];
      const block = Math.floor(at / 16);
      // Three blocks a row: 48 codes, and zero points in two bytes.
      const wanted = (half(codes, row * 48 + at) - half(zeros, row * 4 + block)) * scales[row * 3 + block]!;
      expect(restored[i]).toBe(Math.fround(wanted));
    }
  });
  it('are what MatMulNBits multiplies with', async () => {
    const found = await fromKernel((g, x) =>
      g.emit(
        'MatMulNBits',
        [x, g.constant(bytes(codes, OUT, 3, 8)), g.constant(float32(scales, [18])), g.constant(bytes(zeros, 12))],
        { K: WIDTH, N: OUT, bits: 4, block_size: 16 },
        CONTRIB,
      ),
    );
    found.forEach((value, i) => expect(Math.abs(value - restored[i]!)).toBeLessThanOrEqual(1e-6 * Math.abs(value)));
  });
  it('are as near in every block as steps from the least to the largest number, and nearer in all', () => {
    const many = Float32Array.from({ length: 64 * 64 }, () => random.normal());
    const { restored: found } = integerBlocks({ values: many, out: 64, width: 64 }, 32);
    let [plain, own] = [0, 0];
    for (let from = 0; from < many.length; from += 32) {
      const block = Array.from(many.subarray(from, from + 32));
      const [low, high] = [Math.min(0, ...block), Math.max(0, ...block)];
      const step = (high - low) / 15;
      const zero = Math.round(-low / step);
      const error = (of: readonly number[]): number => of.reduce((sum, value, i) => sum + (value - block[i]!) ** 2, 0);
      const steps = block.map((value) => (Math.min(15, Math.max(0, Math.round(value / step) + zero)) - zero) * step);
      expect(error(Array.from(found.subarray(from, from + 32)))).toBeLessThanOrEqual(error(steps) * (1 + 1e-6));
      plain += error(steps);
      own += error(Array.from(found.subarray(from, from + 32)));
    }
    expect(Math.sqrt(own / plain)).toBeLessThan(0.98);
  });
  it('hold zeros exactly', () => expect(restored.slice(0, 16)).toEqual(new Float32Array(16)));
});

describe('NF4', () => {
  const { codes, scales, restored } = normalFloatBlocks(rows, 16);
  it('stands for the nearest of the 16 numbers times the largest magnitude of a block, the higher half of a byte first', () => {
    for (let i = 0; i < values.length; i++) {
      const block = Math.floor(i / 16);
      const largest = Math.max(...values.slice(16 * block, 16 * block + 16).map(Math.abs));
      expect(scales[block]).toBe(Math.fround(largest));
      const code = (codes[i >> 1]! >> (i % 2 === 0 ? 4 : 0)) & 15;
      expect(restored[i]).toBe(Math.fround(NF4[code]! * largest));
      const nearest = Math.min(...NF4.map((each) => Math.abs(each * largest - values[i]!)));
      expect(Math.abs(NF4[code]! * largest - values[i]!)).toBeLessThanOrEqual(nearest + 1e-7 * largest);
    }
  });
  it('is what MatMulBnb4 multiplies with', async () => {
    const found = await fromKernel((g, x) =>
      g.emit(
        'MatMulBnb4',
        [x, g.constant(bytes(codes, codes.length)), g.constant(float32(scales, [scales.length]))],
        { K: WIDTH, N: OUT, block_size: 16, quant_type: 1 },
        CONTRIB,
      ),
    );
    found.forEach((value, i) => expect(Math.abs(value - restored[i]!)).toBeLessThanOrEqual(1e-6 * Math.abs(value)));
  });
});
