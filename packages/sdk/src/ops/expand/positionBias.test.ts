/** @file GatedRelativePositionBias and BiasSoftmax by their formulas; ONNX Runtime has no kernels for them on the CPU. */

import { expect, test } from 'vitest';
import { runExpanded, w, x } from '../../../../../test/support/expansion.ts';

test('GatedRelativePositionBias', async () => {
  // batch 2, positions 3, heads 2, width 4, six columns of the gate.
  const inputs = [x(2, 3, 8), w(8), x(1, 2, 3, 3), w(4, 6), w(6), w(1, 2, 1, 1)];
  const { feeds, outputs } = await runExpanded({
    op: 'GatedRelativePositionBias',
    attributes: { num_heads: 2 },
    inputs,
  });
  const [query, queryBias, bias, weight, gateBias, eco] = inputs.map((_, i) =>
    Array.from(feeds[`in${i}`]!.data, Number),
  );
  const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
  expect(outputs['out0']!.dims).toEqual([2, 2, 3, 3]);
  outputs['out0']!.data.forEach((found, at) => {
    const [b, h, s, k] = [Math.floor(at / 18), Math.floor(at / 9) % 2, Math.floor(at / 3) % 3, at % 3];
    const gates = Array.from({ length: 6 }, (_, column) => {
      const terms = [0, 1, 2, 3].map((i) => {
        const feature = h * 4 + i;
        return (query![(b * 3 + s) * 8 + feature]! + queryBias![feature]!) * weight![i * 6 + column]!;
      });
      return terms.reduce((sum, term) => sum + term, gateBias![column]!);
    });
    const [u, r] = [0, 3].map((from) => sigmoid(gates[from]! + gates[from + 1]! + gates[from + 2]!));
    expect(found).toBeCloseTo((u! * (r! * eco![h]! - 1) + 2) * bias![(h * 3 + s) * 3 + k]!, 5);
  });
});

test('BiasSoftmax', async () => {
  const inputs = [x(2, 2, 3), x(2, 1, 3)];
  const { feeds, outputs } = await runExpanded({
    op: 'BiasSoftmax',
    attributes: { axis: 2, is_inner_broadcast: 1 },
    inputs,
  });
  const exp = (row: number): number[] =>
    [0, 1, 2].map((i) =>
      Math.exp(Number(feeds['in0']!.data[row * 3 + i]) + Number(feeds['in1']!.data[Math.floor(row / 2) * 3 + i])),
    );
  outputs['out0']!.data.forEach((found, at) => {
    const row = exp(Math.floor(at / 3));
    expect(found).toBeCloseTo(row[at % 3]! / (row[0]! + row[1]! + row[2]!), 6);
  });
});
