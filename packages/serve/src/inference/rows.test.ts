/** @file Tests of batches that are put together and taken apart. */

import { float32, int64 } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { joinRows, splitRows } from './rows.ts';

it('rows are joined in their order', () => {
  expect(joinRows([{ ids: int64([1, 2, 3, 4], [2, 2]) }, { ids: int64([8, 9], [1, 2]) }])).toEqual({ ids: int64([1, 2, 3, 4, 8, 9], [3, 2]) }); // prettier-ignore
  const image = (value: number) => ({ x: float32([value, value, value, value], [1, 2, 2]) });
  expect(joinRows([image(1), image(2)])).toEqual({ x: float32([1, 1, 1, 1, 2, 2, 2, 2], [2, 2, 2]) });
});

it('outputs are those of each request, where they have a part for each row', () => {
  const outputs = { logits: float32([1, 2, 3, 4, 5, 6], [3, 2]) };
  expect(splitRows(outputs, [2, 1])).toEqual([
    { logits: float32([1, 2, 3, 4], [2, 2]) },
    { logits: float32([5, 6], [1, 2]) },
  ]);
  expect(splitRows({ mean: float32([1], [1]) }, [2, 1])).toBeUndefined();
});
