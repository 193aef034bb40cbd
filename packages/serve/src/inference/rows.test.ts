/** @file Tests of batches that are put together and taken apart. */

import { float32, int64 } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { joinRows, splitRows } from './rows.ts';

it('rows are joined in their order, shorter ones padded by zeros', () => {
  const one = { ids: int64([1, 2, 3, 4], [2, 2]) };
  const other = { ids: int64([5, 6, 7], [1, 3]) };
  expect(joinRows([one, other], 3)).toEqual({ ids: int64([1, 2, 0, 3, 4, 0, 5, 6, 7], [3, 3]) });
  expect(joinRows([one, { ids: int64([8, 9], [1, 2]) }])).toEqual({ ids: int64([1, 2, 3, 4, 8, 9], [3, 2]) });
  const image = (value: number) => ({ x: float32([value, value, value, value], [1, 2, 2]) });
  expect(joinRows([image(1), image(2)])).toEqual({ x: float32([1, 1, 1, 1, 2, 2, 2, 2], [2, 2, 2]) });
});

it('outputs are those of each request, without padding where they have a value for each position', () => {
  const outputs = {
    logits: float32([1, 2, 3, 4, 5, 6], [3, 2]),
    states: float32(
      Float32Array.from({ length: 18 }, (_, i) => i),
      [3, 3, 2],
    ),
  };
  const portions = [
    { rows: 2, length: 2 },
    { rows: 1, length: 3 },
  ];
  expect(splitRows(outputs, portions, new Set(['states']))).toEqual([
    { logits: float32([1, 2, 3, 4], [2, 2]), states: float32([0, 1, 2, 3, 6, 7, 8, 9], [2, 2, 2]) },
    { logits: float32([5, 6], [1, 2]), states: float32([12, 13, 14, 15, 16, 17], [1, 3, 2]) },
  ]);
  expect(splitRows({ mean: float32([1], [1]) }, portions, new Set())).toBeUndefined();
});
