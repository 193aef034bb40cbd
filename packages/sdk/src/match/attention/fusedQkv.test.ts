/** @file Joined queries, keys and values that are not split: the reason names the node that differs. */

import { expect, test } from 'vitest';
import { modelOf } from '../../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { indexWhole } from '../../graph/walk.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { Random } from '../../runtime/random.ts';
import type { NonMatch } from '../mismatch.ts';
import { unsplitLayers, withParts } from './fusedQkv.ts';
import { findSites } from '../sites.ts';
import { prepareForMatching } from '../view.ts';

const x: Value = { name: 'x', type: 'float32', shape: [2, 5, 8] };

/** An attention of two heads behind one layer, its scores weighed along an axis, its parts taken at given places. */
function attention({ axis = -1, places = [0, 1, 2] }): { paths: string[]; unsplit: readonly NonMatch[] } {
  const g = new WeightBuilder(18, '/attn/');
  const floats = (...dims: number[]): Value => g.floats(randomFloats(dims, new Random(1)), dims);
  const product = g.MatMul(x, floats(8, 24));
  g.nodes.at(-1)!.name = '/attn/qkv/MatMul';
  const joined = g.Transpose(g.Reshape(product, [2, 5, 3, 2, 4]), [2, 0, 3, 1, 4]);
  const [q, k, v] = places.map((place) => g.Squeeze(g.Gather(joined, g.ints([place]), 0), [0]));
  const weights = g.Softmax(g.MatMul(q!, g.Transpose(k!, [0, 1, 3, 2])), axis);
  const merged = g.Reshape(g.Transpose(g.MatMul(weights, v!), [0, 2, 1, 3]), [2, 5, 8]);
  g.MatMul(merged, floats(8, 8));
  g.nodes.at(-1)!.name = '/attn/proj/MatMul';
  const model = prepareForMatching(modelOf({ opset: 18, inputs: [x], outputs: [g.nodes.at(-1)!.output![0]!], nodes: g.nodes, initializers: g.initializers }) as Parameters<typeof prepareForMatching>[0]); // prettier-ignore
  const types = inferGraph(model);
  const sites = findSites(model.graph, { typeOf: (value) => types.get(value) });
  const unsplit = unsplitLayers(sites, indexWhole(model.graph), (value) => types.get(value));
  return {
    paths: withParts(sites).map(({ path }) => path),
    unsplit,
  };
}

test('an attention that is read has a part for each, and nothing to explain', () => {
  const paths = ['attn.qkv', 'attn.q_proj', 'attn.k_proj', 'attn.v_proj', 'attn.proj'];
  expect(attention({})).toEqual({ paths, unsplit: [] });
});

test.each([
  [
    'scores weighed along the queries',
    { axis: 2 },
    /^an attention reads some of its outputs as values, but the others are operand 0 of \/attn\/MatMul_\d+ \(MatMul\), which is no product of an attention$/,
  ],
  [
    'keys that are the queries',
    { places: [0, 0, 2] },
    /^an attention reads its output 0 as two of queries, keys and values$/,
  ],
])('%s', (_, options, reason) => {
  const { paths, unsplit } = attention(options);
  expect(paths).toEqual(['attn.qkv', 'attn.proj']);
  expect(unsplit).toEqual([
    { pattern: 'fused QKV', at: '/attn/qkv/MatMul (MatMul)', reason: expect.stringMatching(reason) },
  ]);
});

/** MultiHeadAttention of two heads that reads layers as packed values: of queries, keys and values, or of the last two. */
function multiHead(form: 'qkv' | 'kv'): Record<string, unknown> {
  const g = new WeightBuilder(18, '/attn/');
  const layer = (name: string, of: number): Value => {
    const product = g.MatMul(x, g.floats(randomFloats([8, 8 * of], new Random(of)), [8, 8 * of]));
    g.nodes.at(-1)!.name = `/attn/${name}/MatMul`;
    return product;
  };
  const packed = (name: string, of: number): Value => g.Reshape(layer(name, of), [2, 5, 2, of, 4]);
  const inputs = form === 'qkv' ? [packed('qkv', 3)] : [layer('q_proj', 1), packed('kv', 2)];
  const attended = g.emit('MultiHeadAttention', inputs, { num_heads: 2 }, 'com.microsoft');
  g.MatMul(attended, g.floats(randomFloats([8, 8], new Random(1)), [8, 8]));
  g.nodes.at(-1)!.name = '/attn/proj/MatMul';
  const model = prepareForMatching(modelOf({ opset: 18, inputs: [x], outputs: [g.nodes.at(-1)!.output![0]!], nodes: g.nodes, initializers: g.initializers }) as Parameters<typeof prepareForMatching>[0]); // prettier-ignore
  const types = inferGraph(model);
  const sites = withParts(findSites(model.graph, { typeOf: (value) => types.get(value) }));
  return Object.fromEntries(sites.map(({ path, part }) => [path, part && [part.first, part.size, part.step, part.count]])); // prettier-ignore
}

test('packed inputs of MultiHeadAttention hold their parts head by head', () => {
  expect(multiHead('qkv')).toEqual({
    'attn.qkv': undefined,
    'attn.q_proj': [0, 4, 12, 2],
    'attn.k_proj': [4, 4, 12, 2],
    'attn.v_proj': [8, 4, 12, 2],
    'attn.proj': undefined,
  });
  expect(multiHead('kv')).toEqual({
    'attn.q_proj': undefined,
    'attn.kv': undefined,
    'attn.k_proj': [0, 4, 8, 2],
    'attn.v_proj': [4, 4, 8, 2],
    'attn.proj': undefined,
  });
});
