/** @file Random numbers as torch 2.13 draws them. */

import { describe, expect, it } from 'vitest';
import { TorchRandom } from './torchRandom.ts';

const bound = 0.0577350269;

function sumOf(numbers: Float32Array): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

describe('uniform numbers', () => {
  it('of float32 are rounded once', () => {
    const numbers = new TorchRandom(5).uniform(3000, -bound, bound);
    expect([...numbers.subarray(0, 6)]).toEqual([
      0.03813420236110687, -0.04317299276590347, 0.04705054685473442, 0.03694199025630951, 0.04850936308503151,
      -0.0442659966647625,
    ]);
    expect(sumOf(numbers)).toBe(-4.960711844316393);
  });

  it('of bfloat16 are never the upper bound', () => {
    const numbers = new TorchRandom(0).uniform(3000, -bound, bound, 'bfloat16');
    expect([...numbers.subarray(330, 338)]).toEqual([
      -0.0478515625, -0.049560546875, -0.0576171875, 0.03662109375, -0.039794921875, 0.0225830078125, 0.043701171875,
      -0.0576171875,
    ]);
    expect(sumOf(numbers)).toBe(-2.065510869026184);
  });
});

describe('permutations', () => {
  it('of many, the first few', () => {
    expect(new TorchRandom(11).permuted(6, 1_000_003)).toEqual([250_119, 375_094, 645_439, 952_030, 510_426, 721_918]);
  });

  it('of few, all', () => {
    expect(new TorchRandom(2 ** 31 - 1).permuted(7, 7)).toEqual([5, 3, 6, 1, 2, 0, 4]);
  });

  it('of more than torch draws by 32 bits are refused', () => {
    expect(() => new TorchRandom(1).permuted(5, 2 ** 28)).toThrow(
      /A permutation of 268435456 numbers cannot be drawn .* of less than 214748364\./,
    );
  });
});

// After torch.manual_seed(3).
it.each([
  // torch.randn(37): the last 16 are drawn again, over what was there.
  [37, { 0: -0.076644, 8: -0.051681, 15: 0.416331, 20: 1.046023, 21: -0.067686, 30: 0.658914, 36: 0.724239 }],
  [32, { 0: -0.076644, 8: -0.051681, 15: 0.416331, 16: 0.261501, 31: -0.146808 }],
])('%i normal numbers', (count, expected) => {
  const numbers = new TorchRandom(3).normal(count);
  expect(numbers).toHaveLength(count);
  for (const [at, value] of Object.entries(expected)) expect(numbers[Number(at)]).toBeCloseTo(value, 5);
});

/** `torch.normal(0.0, 0.5, size=(n,), generator=g)`, and the `torch.rand(1)` that follows. */
it.each<[seed: number, expected: readonly number[], next: number]>([
  // prettier-ignore
  [3, [-0.038322, 0.179941, -0.391008, 0.035764, 0.523011, 0.261093, -0.083405, 0.026517, 0.202304, 0.30565, 0.380195, -0.016822, 0.498961, 0.22959, 1.218199, -0.073404, 0.242557, 0.102617, 0.169214, 0.676377], 0.3686259388923645],
  [5, [-0.24339, -0.301911, -0.279048, 0.333762, -0.098708, 0.971392, -0.700851, -0.381279, 0.315607, -0.449568, -0.278897, 0.345359], 0.9751613140106201], // prettier-ignore
  [9, [0.022364, 0.95562, -0.115515], 0.3804395794868469],
])('normal numbers of seed %d', (seed, expected, next) => {
  const random = new TorchRandom(seed);
  const found = random.normal(expected.length, 0.5);
  expected.forEach((each, i) => {
    expect(found[i]).toBeCloseTo(each, 5);
  });
  expect(random.uniform(1, 0, 1)[0]).toBe(next);
});
