/** @file Every row of the gradient table in a float16 graph: its gradients are float16 too, and near those in float32. */

import { expect, test } from 'vitest';
import { checkOf } from '../../../../test/support/gradcheck.ts';
import type { Cases } from '../../../../test/support/caseForms.ts';
import { cases } from '../../../../test/support/gradientCases.ts';
import { runOnce } from '../../../../test/support/graphs.ts';
import { fromHalves } from '../runtime/halfFloat.ts';
import type { ModelProto } from '../graph/proto.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { DifferentiableOp } from './rules.ts';

/** ONNX Runtime hands out the bits of halves, or numbers where Node has an array for them. */
function numbers({ data }: Tensor): ArrayLike<number> {
  return data instanceof Uint16Array ? fromHalves(data) : (data as Float32Array);
}

/** Whether the operator itself takes float16 on the CPU. */
async function runs(model: ModelProto, feeds: Feeds): Promise<boolean> {
  try {
    await runOnce(model, feeds);
    return true;
  } catch (error) {
    expect(String(error)).toMatch(/not supported|is invalid|bound to different types|NOT_IMPLEMENTED|not implemented/);
    return false;
  }
}

const checked = new Set<string>();

test.each(Object.entries(cases) as [DifferentiableOp, Cases][])('%s', async (op, checks) => {
  for (const check of checks) {
    const what = JSON.stringify(check);
    const [half, single] = [checkOf(op, check, 'float16'), checkOf(op, check, 'float32')];
    if (!(await runs(half.forward, half.feeds))) continue;
    checked.add(op);
    const [found, expected] = [await runOnce(half.backward, half.feeds), await runOnce(single.backward, single.feeds)];
    for (const [input, { name }] of half.gradients) {
      const [actual, wanted] = [found[name]!, expected[single.gradients.get(input)!.name]!];
      expect(actual.type, what).toBe('float16');
      expect(actual.dims).toEqual(wanted.dims);
      const [a, b] = [Array.from(numbers(actual)), Array.from(numbers(wanted))];
      const scale = Math.max(1, ...b.map(Math.abs));
      const worst = Math.max(0, ...a.map((value, i) => Math.abs(value - b[i]!)));
      expect(worst / scale, `input ${input} of ${what}`).toBeLessThan(0.01);
    }
  }
});

test('only operators that take no float16 are left out', () => {
  const ops = Object.keys(cases).filter((op) => !checked.has(op));
  expect(ops.sort()).toEqual(['Celu', 'MeanVarianceNormalization']);
});
