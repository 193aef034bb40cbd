/** @file Gelu and its relatives against ONNX Runtime's own kernels, or their formulas where it has none on the CPU. */

import { expect, test } from 'vitest';
import { describeExpansions, type Fused, runExpanded, w, x } from '../../../../../test/support/expansion.ts';
import { float } from '../../graph/attributes.ts';

const sizes = { batch: 3 };
const input = x('batch', 7, 8);

describeExpansions({
  Gelu: { op: 'Gelu', sizes, inputs: [input] },
  'standard Gelu': { op: 'Gelu', sizes, domain: '', opset: 20, inputs: [input] },
  'standard Gelu by tanh': { op: 'Gelu', sizes, domain: '', opset: 20, attributes: { approximate: 'tanh' }, inputs: [input] },
  BiasGelu: { op: 'BiasGelu', sizes, inputs: [input, w(8)] },
  FastGelu: { op: 'FastGelu', sizes, inputs: [input] },
  'FastGelu with a bias': { op: 'FastGelu', sizes, inputs: [input, w(8)] },
  QuickGelu: { op: 'QuickGelu', sizes, inputs: [input] },
  'QuickGelu with alpha': { op: 'QuickGelu', sizes, attributes: { alpha: float(1) }, inputs: [input] },
  Mish: { op: 'Mish', sizes, domain: '', opset: 18, inputs: [input] },
  Swish: { op: 'Swish', sizes, domain: '', opset: 24, attributes: { alpha: 0.5 }, inputs: [input] },
  HardSwish: { op: 'HardSwish', sizes, domain: '', opset: 14, inputs: [{ ...input, values: (random, dims) => ({ type: 'float32', dims, data: Float32Array.from({ length: 168 }, () => random.uniform(-5, 5)) }) }] },
} satisfies Record<string, Fused>); // prettier-ignore

// Abramowitz and Stegun 7.1.26, right to 1.5e-7.
function erf(value: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(value));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(value) * (1 - series * Math.exp(-value * value));
}

test('BiasSplitGelu', async () => {
  const { feeds, outputs } = await runExpanded({ op: 'BiasSplitGelu', inputs: [x(2, 3, 8), w(8)] });
  const [values, bias] = [feeds['in0']!.data, feeds['in1']!.data];
  const at = (row: number, i: number): number => Number(values[row * 8 + i]) + Number(bias[i]);
  expect(outputs['out0']!.dims).toEqual([2, 3, 4]);
  outputs['out0']!.data.forEach((found, i) => {
    const [a, b] = [at(Math.floor(i / 4), i % 4), at(Math.floor(i / 4), (i % 4) + 4)];
    expect(found).toBeCloseTo(a * 0.5 * b * (1 + erf(b / Math.SQRT2)), 5);
  });
});

test('BiasAdd', async () => {
  const { feeds, outputs } = await runExpanded({ op: 'BiasAdd', inputs: [x(2, 3, 4), w(4), x(2, 3, 4)] });
  outputs['out0']!.data.forEach((found, i) => {
    const expected = Number(feeds['in0']!.data[i]) + Number(feeds['in1']!.data[i % 4]) + Number(feeds['in2']!.data[i]);
    expect(found).toBeCloseTo(expected, 6);
  });
});
