/** @file Group normalisation against ONNX Runtime's own kernel, or its formula where it has none on the CPU. */

import { describe, expect, test } from 'vitest';
import { describeExpansions, type Fused, runExpanded, w, x } from '../../../../../test/support/expansion.ts';

const sizes = { batch: 2, height: 3 };
const input = x('batch', 6, 'height', 4);

describeExpansions({
  'by channel': { op: 'GroupNormalization', domain: '', opset: 21, sizes, attributes: { num_groups: 3, epsilon: 0.01 }, inputs: [input, w(6), w(6)] },
  'by group': { op: 'GroupNormalization', domain: '', opset: 18, sizes, attributes: { num_groups: 2 }, inputs: [input, w(2), w(2)] },
} satisfies Record<string, Fused>); // prettier-ignore

describe.each([1, 0])('GroupNorm, channels last: %s', (channels_last) => {
  const shape = channels_last ? [2, 3, 4, 6] : [2, 6, 3, 4];
  /** Where element c of position p of sample n lies. */
  const at = (n: number, c: number, p: number): number => (channels_last ? (n * 12 + p) * 6 + c : (n * 6 + c) * 12 + p);

  test.each([0, 1])('activation: %s', async (activation) => {
    const attributes = { groups: 2, channels_last, activation };
    const { feeds, outputs } = await runExpanded({
      op: 'SkipGroupNorm', attributes, inputs: [x(...shape), w(6), w(6), x(2, 6), w(6)], outputs: [true, true],
    }); // prettier-ignore
    const [X, gamma, beta, skip, bias] = [0, 1, 2, 3, 4].map((i) => feeds[`in${i}`]!.data as Float32Array);
    const sum = (n: number, c: number, p: number): number => X![at(n, c, p)]! + skip![n * 6 + c]! + bias![c]!;
    for (let n = 0; n < 2; n++) {
      for (let group = 0; group < 2; group++) {
        const values = Array.from({ length: 36 }, (_, i) => sum(n, group * 3 + Math.floor(i / 12), i % 12));
        const mean = values.reduce((a, b) => a + b) / 36;
        const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / 36;
        values.forEach((value, i) => {
          const c = group * 3 + Math.floor(i / 12);
          const normal = ((value - mean) / Math.sqrt(variance + 1e-5)) * gamma![c]! + beta![c]!;
          const expected = activation ? normal / (1 + Math.exp(-normal)) : normal;
          expect(outputs['out0']!.data[at(n, c, i % 12)]).toBeCloseTo(expected, 4);
          expect(outputs['out1']!.data[at(n, c, i % 12)]).toBeCloseTo(value, 6);
        });
      }
    }
  });
});

test('GroupNorm without skip or bias', async () => {
  const attributes = { groups: 3 };
  const plain = await runExpanded({ op: 'GroupNorm', attributes, inputs: [x(2, 3, 4, 6), w(6), w(6)] });
  const { data } = plain.outputs['out0']!;
  expect(plain.outputs['out0']!.dims).toEqual([2, 3, 4, 6]);
  expect(data.every((value) => Number.isFinite(Number(value)))).toBe(true);
});
