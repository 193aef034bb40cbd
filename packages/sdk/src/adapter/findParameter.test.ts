/** @file Torch's parameters in a graph: by their layers, by their names, and by the scopes of nodes that lost theirs. */

import { describe, expect, test } from 'vitest';
import { sited } from '../../../../test/support/formAdapters.ts';
import { modelOf } from '../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../test/support/storedWeights.ts';
import type { Value } from '../graph/builder.ts';
import { ParameterFinder } from './findParameter.ts';

const x: Value = { name: 'x', type: 'float32', shape: [2, 4] };

function finder(build: (g: WeightBuilder, named: (name: string, value: Value) => Value) => Value): ParameterFinder {
  const g = new WeightBuilder(18, 'g/');
  const named = (name: string, value: Value): Value => {
    Object.assign(g.nodes.at(-1)!, { name });
    return value;
  };
  const y = build(g, named);
  const { model, sites } = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
  return new ParameterFinder(model.graph, sites);
}

const four = [1, 2, 3, 4];

/** A linear layer, a normalisation in parts without names, and one with them. */
const parameters = finder((g, named) => {
  const product = named('/fc/MatMul', g.MatMul(x, g.floats(new Float32Array(16), [4, 4])));
  const sum = named('/fc/Add', g.Add(g.floats(four, [1, 4]), product));
  const shifted = named('/norm/Add', g.Add(sum, g.floats([1e-5], [])));
  const scaled = named('/norm/Mul', g.Mul(shifted, g.floats(four, [4])));
  const moved = named('/norm/Add_1', g.Add(scaled, g.floats([5, 6, 7, 8], [4])));
  return named('/out/LayerNorm', g.emit('LayerNormalization', [moved, g.floats(four, [4], 'out.weight'), g.floats(four, [4], 'out.bias')])); // prettier-ignore
});

describe('a parameter', () => {
  test("of a layer: its weight and bias, in torch's shape", () => {
    expect(parameters.find('fc', 'weight')).toMatchObject({
      name: 'fc.weight',
      layout: 'in-out',
      site: { path: 'fc' },
    });
    const bias = parameters.find('fc', 'bias')!;
    expect(bias).toMatchObject({ name: 'fc.bias', modulePath: 'fc', layout: 'torch', torchDims: [4] });
    expect(bias.readers.map(({ node, name }) => [node.name, name])).toEqual([['/fc/Add', bias.stored.name]]);
  });
  test('that has kept its name', () => {
    const weight = parameters.find('out', 'weight')!;
    expect(weight).toMatchObject({ name: 'out.weight', layout: 'torch', stored: { dims: [4] } });
    expect(weight.readers.map(({ node }) => node.name)).toEqual(['/out/LayerNorm']);
    expect(parameters.find('', 'out.weight')?.stored.name).toBe('out.weight');
  });
  test('of a normalisation in parts: the factor and the term of its scope', () => {
    expect([...parameters.find('norm', 'weight')!.stored.read()]).toEqual(four);
    expect([...parameters.find('norm', 'bias')!.stored.read()]).toEqual([5, 6, 7, 8]);
  });
  test('that is not there', () => {
    expect(parameters.find('norm', 'running_mean')).toBeUndefined();
    expect(parameters.find('other', 'weight')).toBeUndefined();
    expect(parameters.find('fc', 'gamma')).toBeUndefined();
  });
  test('whose scope has two candidates is not guessed', () => {
    const two = finder((g, named) => {
      const scaled = named('/norm/Mul', g.Mul(x, g.floats(four, [4])));
      return named('/norm/Mul_1', g.Mul(scaled, g.floats(four, [4])));
    });
    expect(two.find('norm', 'weight')).toBeUndefined();
  });
});

test('all biases, each once', () => {
  expect(parameters.biases().map(({ name }) => name)).toEqual(['fc.bias', 'out.bias', 'norm.bias']);
});

test('the bias of a packed first product of a MultiheadAttention is no `bias`', () => {
  const attention = finder((g, named) => {
    const packed = named('/attn/MatMul', g.MatMul(x, g.floats(new Float32Array(16), [4, 4])));
    const biased = named('/attn/Add', g.Add(packed, g.floats(four, [4])));
    const product = named('/attn/out_proj/Gemm', g.Gemm(biased, g.floats(new Float32Array(16), [4, 4], 'attn.out_proj.weight'), g.floats(four, [4], 'attn.out_proj.bias'), { transB: true })); // prettier-ignore
    return product;
  });
  expect(attention.biases().map(({ name }) => name)).toEqual(['attn.out_proj.bias']);
});
