/** @file Numbers that torch 2.13 draws after `torch.manual_seed(3)`. */

import { expect, it } from 'vitest';
import { TorchRandom } from './torchRandom.ts';

it.each([
  // torch.randn(37): the last 16 are drawn anew, over what was there.
  [37, { 0: -0.076644, 8: -0.051681, 15: 0.416331, 20: 1.046023, 21: -0.067686, 30: 0.658914, 36: 0.724239 }],
  [32, { 0: -0.076644, 8: -0.051681, 15: 0.416331, 16: 0.261501, 31: -0.146808 }],
])('%i normal numbers', (count, expected) => {
  const numbers = new TorchRandom(3).normal(count);
  expect(numbers).toHaveLength(count);
  for (const [at, value] of Object.entries(expected)) expect(numbers[Number(at)]).toBeCloseTo(value, 5);
});

it('few are drawn otherwise', () => {
  expect(() => new TorchRandom(3).normal(15)).toThrow(/torch draws 15 normal numbers in another way/);
});
