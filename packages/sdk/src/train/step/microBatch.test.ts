/** @file How large the pieces of a batch are. */

import { describe, expect, it } from 'vitest';
import { pieceRows, productSizesOf, productsOf } from './microBatch.ts';

const MB = 2 ** 20;

describe('a batch of 8', () => {
  it.each([
    ['of images of 197 tokens has pieces of two, whose products are large enough', 1000 * MB, 1576, 34e9, 2],
    ['of long sequences has pieces of one', 4000 * MB, 12_000, 80e9, 1],
    ['that does little is computed in larger pieces', 1000 * MB, 2048, 10e9, 4],
    ['with few values is computed at once', 100 * MB, 20_000, 80e9, 8],
    ['of a tiny model is computed at once', 1000 * MB, 2048, 1e9, 8],
    ['without products is computed at once', 1000 * MB, 0, 0, 8],
  ])('%s', (_, bytes, rows, multiplications, expected) => {
    expect(pieceRows(8, bytes, { rows, multiplications, each: 0 })).toBe(expected);
  });

  it.each([
    ['large products, which few rows are enough for', 0.35e9, 1],
    ['small ones, which would take less than starting them', 0.087e9, 2],
  ])('in integers has pieces by its products: %s', (_, each, expected) => {
    const products = { rows: 1576, multiplications: 34e9, each: 8 * each };
    expect(pieceRows(8, 400 * MB, products, { precision: { name: 'int8', saturates: false } })).toBe(expected);
    expect(pieceRows(8, 400 * MB, products, { precision: { name: 'int8-backward', saturates: false } })).toBe(2);
    expect(pieceRows(8, 100 * MB, products)).toBe(8);
    expect(pieceRows(8, 100 * MB, products, { precision: { name: 'int8', saturates: false } })).toBe(4);
  });

  it('is cut into equal pieces only', () => {
    expect(pieceRows(7, 1000 * MB, { rows: 7000, multiplications: 70e9, each: 0 })).toBe(1);
    expect(pieceRows(9, 1000 * MB, { rows: 1773, multiplications: 38e9, each: 0 })).toBe(3);
  });
});

it('products with packed weights count as those that they stand for', () => {
  const type = (...shape: number[]) => ({ type: 'float32', shape }) as const;
  const types = new Map([
    ['x', type(8, 197, 384)],
    ['w', type(384, 1536)],
    ['q', type(589824)],
    ['k', type(8, 384, 197)],
    ['y', type(8, 197, 1536)],
  ]);
  const node = (opType: string, other: string, output: string) => ({ opType, input: ['x', other], output: [output] });
  const float = productsOf(productSizesOf([node('MatMul', 'w', 'y')], types));
  const all = 8 * 197 * 384 * 1536;
  expect(float).toEqual({ rows: 8 * 197, multiplications: all, each: all });
  for (const op of ['MatMulNBits', 'MatMulBnb4', 'MatMulIntegerToFloat'])
    expect(productsOf(productSizesOf([node(op, 'q', 'y')], types))).toEqual(float);
  // Attention, and what is no product.
  expect(productsOf(productSizesOf([node('MatMul', 'k', 'y'), node('Add', 'w', 'y')], types)).multiplications).toBe(0);
});
