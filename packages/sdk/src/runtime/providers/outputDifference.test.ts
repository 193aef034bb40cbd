/** @file How far two runs are said to be apart. */

import { describe, expect, it } from 'vitest';
import { outputDifference } from './outputDifference.ts';
import { float32, int64, type Tensor, tensor } from '../tensor.ts';

const between = (actual: Tensor, expected: Tensor): number =>
  outputDifference({ y: actual }, { y: expected }).difference;

describe('the difference', () => {
  it('of floats is in parts of the largest magnitude', () => {
    expect(between(float32([1, -8], [2]), float32([1.5, -10], [2]))).toBeCloseTo(0.2, 6);
    expect(between(float32([3, 4], [2]), float32([3, 4], [2]))).toBe(0);
    expect(between(float32([0, 0], [2]), float32([0, 0], [2]))).toBe(0);
    // Nothing to relate it to.
    expect(between(float32([0.25], [1]), float32([0], [1]))).toBe(0.25);
  });

  it('of half floats is that of their values', () => {
    // 1, 2, the smallest subnormal, -1024; 1, 2.5, 0, -1024
    const [a, b] = [
      [0x3c00, 0x4000, 0x0001, 0xe400],
      [0x3c00, 0x4100, 0x0000, 0xe400],
    ].map((bits) => tensor('float16', Uint16Array.from(bits), [4]));
    expect(between(a!, b!)).toBeCloseTo(0.5 / 1024, 9);
  });

  it('of integers is the part that differs', () => {
    expect(between(int64([1, 2, 3, 4], [4]), int64([1, 2, 9, 4], [4]))).toBe(0.25);
  });

  it.each<[string, Tensor, Tensor]>([
    ['a value that is no number', float32([NaN, 1], [2]), float32([1, 1], [2])],
    ['a number where none was', float32([1, 1], [2]), float32([NaN, 1], [2])],
    ['the other infinity', float32([-Infinity], [1]), float32([Infinity], [1])],
    ['another shape', float32([1, 2], [2]), float32([1, 2], [1, 2])],
    ['another type', float32([1], [1]), int64([1], [1])],
  ])('is infinite for %s', (_, actual, expected) => {
    expect(between(actual, expected)).toBe(Infinity);
  });

  it('of equal infinities and of values that are no numbers on both sides is none', () => {
    const masked = float32([-Infinity, NaN, 2], [3]);
    expect(between(masked, float32([-Infinity, NaN, 2], [3]))).toBe(0);
  });
});

it('the output that differs most is named, and one that is missing', () => {
  const outputs = { a: float32([1], [1]), b: float32([2], [1]), c: float32([3], [1]) };
  expect(outputDifference({ ...outputs, b: float32([1], [1]) }, outputs)).toEqual({ output: 'b', difference: 0.5 });
  expect(outputDifference({ a: outputs.a, b: outputs.b }, outputs)).toEqual({ output: 'c', difference: Infinity });
});
