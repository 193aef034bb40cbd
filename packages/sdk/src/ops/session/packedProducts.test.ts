/** @file Products with packed weights compute some rows at a time what ONNX Runtime does at once. */

import { expect, it } from 'vitest';
import { difference, modelFrom } from '../../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { CONTRIB } from '../domains.ts';
import { packedProducts } from './packedProducts.ts';
import { sessionModel } from './sessionModel.ts';

const block = 16;

/** A product with a weight `[N, K]`. */
function drawn(seed: number): { readonly model: ModelProto; readonly feeds: Feeds; readonly numbers: number } {
  const random = new Random(seed);
  const [K, N, rows] = [block * (1 + random.index(3)), 3 + random.index(22), 1 + random.index(3)];
  const blocks = (N * K) / block;
  const normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
  const g = new WeightBuilder(17, 'g/');
  const bytes = (name: string, ...dims: number[]): Value => {
    const data = Uint8Array.from({ length: sizeOf(dims) }, () => random.index(256));
    return g.add(tensorProto('', { type: 'uint8', dims, data }), name);
  };
  const scales = g.add(tensorProto('', float32(normal(blocks), [blocks])), 'scales');
  const x: Value = { name: 'x', type: 'float32', shape: [2, rows, K] };
  const operands = [bytes('codes', (N * K) / 2), scales];
  const attributes = { K, N, block_size: block, quant_type: random.index(2) };
  const y = g.emit('MatMulBnb4', [x, ...operands], attributes, CONTRIB);
  return {
    model: modelFrom(g, [x], [y]),
    feeds: { x: float32(normal(2 * rows * K), [2, rows, K]) },
    numbers: N * K,
  };
}

async function outputsOf(model: ModelProto, feeds: Feeds): Promise<Record<string, Tensor>> {
  const { onCpu: _, ...source } = sessionModel(model);
  const session = await new OrtRuntime().createSession({ ...source, name: 'm' }, { provider: 'cpu', threads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

it.each(Array.from({ length: 16 }, (_, seed) => seed))('weight %i', async (seed) => {
  const { model, feeds, numbers } = drawn(seed);
  expect(packedProducts(model, numbers)).toBeUndefined();
  const wanted = await outputsOf(model, feeds);
  for (const most of [1, Math.ceil(numbers / 3)]) {
    const found = await outputsOf(packedProducts(model, most)!, feeds);
    expect(Object.keys(found)).toEqual(Object.keys(wanted));
    for (const [name, tensor] of Object.entries(wanted)) {
      expect(found[name]!.dims).toEqual(tensor.dims);
      expect(difference(found[name]!, tensor), name).toBeLessThan(1e-5);
    }
  }
});

it('reads rows after the part before, so that one is unpacked at a time', () => {
  const { node = [] } = packedProducts(drawn(3).model, 1)!.graph!;
  const products = node.filter(({ opType }) => opType === 'MatMulBnb4');
  expect(products.length).toBeGreaterThan(1);
  const producer = new Map(node.flatMap((each) => each.output!.map((name) => [name, each] as const)));
  const behind = (name: string, seen = new Set<string>()): ReadonlySet<string> => {
    if (seen.has(name)) return seen;
    seen.add(name);
    for (const before of producer.get(name)?.input ?? []) behind(before, seen);
    return seen;
  };
  products.slice(1).forEach(({ input }, i) => {
    expect(behind(input![1]!)).toContain(products[i]!.output![0]);
  });
});
