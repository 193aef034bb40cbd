/** @file Every loss and its gradient against torch's numbers. */

import { describe, expect, it } from 'vitest';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { furthest } from '../../../fixtures/losses/furthest.ts';
import { type Golden, goldens, lossGraph, withOptions } from '../../../fixtures/losses/goldens.ts';
import { fromHalves, toHalf, toShorts } from '../../runtime/halfFloat.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/** Runs a case, and says how far value and gradients are from torch's. */
async function errorOf(golden: Golden, opset?: number): Promise<number> {
  const { model, value, gradients } = lossGraph(golden, opset);
  const outputs = await runOnce(model, golden.feeds);
  const pairs: (readonly [found: Tensor, dims: readonly number[], expected: ArrayLike<number | bigint>])[] = [
    [outputs[value]!, golden.value.dims, golden.value.data],
    ...Object.entries(golden.gradients).map(
      ([name, expected]) => [outputs[gradients.get(name)!]!, golden.feeds[name]!.dims, expected] as const,
    ),
  ];
  return Math.max(
    ...pairs.map(([found, dims, expected]) =>
      found.dims.join() === dims.join() ? furthest(found.data, expected) : Infinity,
    ),
  );
}

const names = [...new Set(goldens.map(({ loss }) => loss))];
const of = (loss: string): Golden[] => goldens.filter((golden) => golden.loss === loss);

describe.each(names)('%s', (loss) => {
  it.each(of(loss))('$name', async (golden) => {
    expect(await errorOf(golden)).toBeLessThan(2e-6);
  });

  it.each([9, 10, 11, 13, 21])('with the operators of opset %i', async (opset) => {
    for (const golden of of(loss)) expect(await errorOf(golden, opset), golden.name).toBeLessThan(2e-6);
  });
});

describe('cross-entropy of nothing but the labels that count', () => {
  const labelled = of('crossEntropy').filter(
    ({ feeds, options }) => feeds['labels']?.type === 'int64' && options['reduction'] !== 'none',
  );

  it.each(labelled)('$name', async (golden) => {
    for (const opset of [12, 18])
      expect(await errorOf(withOptions(golden, { countedOnly: true }), opset)).toBeLessThan(2e-6);
  });
});

describe('scores in float16 are computed with in float32:', () => {
  it.each(names)('%s', async (loss) => {
    const golden = of(loss)[0]!;
    const [half, rounded]: Record<string, Tensor>[] = [{ ...golden.feeds }, { ...golden.feeds }];
    for (const [name, { type, dims, data }] of Object.entries(golden.feeds)) {
      if (!(name in golden.gradients)) continue;
      const bits = toShorts(data as Float32Array, toHalf);
      half![name] = { type: 'float16', dims, data: bits };
      rounded![name] = { type, dims, data: fromHalves(bits) };
    }
    const [single, other] = [lossGraph({ ...golden, feeds: rounded! }), lossGraph({ ...golden, feeds: half! })];
    const expected = await runOnce(single.model, rounded!);
    const found = await runOnce(other.model, half!);
    expect(found[other.value]!.type).toBe('float32');
    expect(furthest(found[other.value]!.data, expected[single.value]!.data)).toBeLessThan(2e-6);
    for (const [name, output] of other.gradients) {
      expect(found[output]!.type).toBe('float16');
      const values = fromHalves(found[output]!.data as Uint16Array);
      expect(furthest(values, expected[single.gradients.get(name)!]!.data)).toBeLessThan(1e-3);
    }
  });
});
