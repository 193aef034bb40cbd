/** @file When two tensors count as equal. */

import { float32 } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { compareGradients, compareNumbers, compareTensors, short } from './compare.ts';

const output = { rtol: 1e-3, atol: 1e-4 };

describe('element by element', () => {
  it('allows atol + rtol · |expected|', () => {
    expect(compareNumbers('x', [10.01, 1e-4], [10, 0], output).problem).toBeUndefined();
    expect(compareNumbers('x', [10.02, 0], [10, 0], output).problem).toBe(
      'x at 0 is 10, expected 10 (error 0.02, allowed 0.0101)',
    );
    expect(compareNumbers('x', [10, 2e-4], [10, 0], output).problem).toBe(
      'x at 1 is 2.0e-4, expected 0 (error 2.0e-4, allowed 1.0e-4)',
    );
  });

  it.each([
    ['NaN where a number is due', [1, NaN], [1, 2]],
    ['a number where NaN is due', [1, 2], [1, NaN]],
    ['infinity where a number is due', [1, Infinity], [1, 2]],
    ['a number where infinity is due', [1, 2], [1, -Infinity]],
    ['too few numbers', [1], [1, 2]],
  ])('refuses %s', (_, actual, expected) => {
    for (const tolerance of [output, { ofLargest: 5e-3 }, { relativeRms: 0.1 }]) {
      expect(compareNumbers('x', actual, expected, tolerance).problem).toMatch(/^[xg] .*(is|has|expected)/);
    }
  });

  it('accepts what is infinite on both sides, and still sees the rest', () => {
    expect(compareNumbers('x', [-Infinity, 1], [-Infinity, 1], output)).toEqual({
      name: 'x',
      maxError: 0,
      tolerance: output,
    });
    for (const tolerance of [output, { ofLargest: 5e-3 }, { relativeRms: 0.1 }]) {
      expect(compareNumbers('x', [-Infinity, 1.5], [-Infinity, 1], tolerance).problem).toMatch(
        /^[xg] .*(is|has|expected)/,
      );
    }
  });
});

it('compares shapes, not only values', () => {
  expect(compareTensors('x', float32([1, 2], [2]), float32([1, 2], [1, 2]), output).problem).toBe(
    'x has shape [2], expected [1, 2]',
  );
  expect(compareTensors('x', undefined, float32([1], [1]), output).problem).toBe('x is missing');
});

it('measures by the norm where a case says so', () => {
  // ‖(0.3, 0.4)‖ / ‖(3, 4)‖ = 0.5 / 5
  expect(compareNumbers('x', [3.3, 4.4], [3, 4], { relativeRms: 0.1001 }).problem).toBeUndefined();
  expect(compareNumbers('x', [3.3, 4.4], [3, 4], { relativeRms: 0.0999 }).problem).toBe(
    'x is off by 0.1 of its norm, allowed 0.0999',
  );
});

describe('gradients', () => {
  const gradient = { ofLargest: 5e-3 };
  it('are measured by the largest of the tensor', () => {
    expect(compareGradients('g', float32([100, 0.4], [2]), float32([100, 0], [2]), gradient).problem).toBeUndefined();
    expect(compareGradients('g', float32([100, 0.6], [2]), float32([100, 0], [2]), gradient).problem).toMatch(
      /^[xg] .*(is|has|expected)/,
    );
  });

  it('that are noise beside the largest of the case are noise', () => {
    const [found, expected] = [float32([-4.5e-7], [1]), float32([1.8e-7], [1])];
    expect(compareGradients('g', found, expected, gradient, 2.7).problem).toBeUndefined();
    expect(compareGradients('g', found, expected, gradient, 0.3).problem).toContain('expected 1.8e-7');
    expect(compareGradients('g', float32([1e-4], [1]), expected, gradient, 2.7).problem).toContain('should be zero');
  });

  it('that are noise need not be the same noise', () => {
    expect(compareGradients('g', float32([3e-8], [1]), float32([-2e-9], [1]), gradient).problem).toBeUndefined();
    expect(compareGradients('g', float32([1e-3], [1]), float32([-2e-9], [1]), gradient).problem).toBe(
      'g should be zero, but reaches 0.001',
    );
    expect(compareGradients('g', float32([NaN], [1]), float32([0], [1]), gradient).problem).toBe(
      'g should be zero, but reaches NaN',
    );
  });
});

it('prints small numbers as powers of ten', () => {
  expect([0, 2.06e-7, 0.0123456, 12.3456, Infinity].map(short)).toEqual(['0', '2.1e-7', '0.0123', '12.3', 'Infinity']);
});
