/** @file Torch's parameters in a graph: by their layers, by their names, and by the scopes of nodes that lost theirs. */

import { describe, expect, test } from 'vitest';
import { serve, sited } from '../../../../../test/support/formAdapters.ts';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { injectAdapters } from '../../lora/inject.ts';
import { float32 } from '../../runtime/tensor.ts';
import { ParameterSet } from '../../train/parameters.ts';
import { Adapter } from '../adapter.ts';
import { ParameterFinder } from './findParameter.ts';
import { mergeAdapter } from './merge.ts';
import { adapterConfig } from '../formats/peftConfig.ts';

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

test("a Conv1D's weight lies as torch has it, which a square one does not show", async () => {
  const g = new WeightBuilder(18, 'g/');
  const named = (name: string, value: Value): Value => {
    Object.assign(g.nodes.at(-1)!, { name });
    return value;
  };
  const [weight, bias] = [g.floats(new Float32Array(16), [4, 4], 'h.c_proj.weight'), g.floats(four, [4], 'h.c_proj.bias')]; // prettier-ignore
  const hidden = named('/h/c_proj/Gemm', g.Gemm(x, weight, bias));
  const y = named('/fc/Gemm', g.Gemm(hidden, g.floats(new Float32Array(16), [4, 4], 'fc.weight'), g.floats(four, [4], 'fc.bias'), { transB: true })); // prettier-ignore
  const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
  const finder = new ParameterFinder(base.model.graph, base.sites);
  expect(['h.c_proj', 'fc'].map((path) => finder.find(path, 'weight')!.layout)).toEqual(['torch', 'out-in']);

  // y = x·W + b of a Conv1D, x·Wᵀ + b of a Linear, of W as torch and PEFT save it.
  const numbers = Array.from({ length: 16 }, (_, i) => (i * 7) % 5);
  const W = (i: number, j: number): number => numbers[4 * i + j]!;
  const adapter = new Adapter(adapterConfig({ r: 1, loraAlpha: 1, targetModules: [], modulesToSave: ['c_proj', 'fc'], fanInFanOut: true }), new Map(['h.c_proj.weight', 'fc.weight'].map((name) => [`base_model.model.${name}`, float32(numbers, [4, 4])]))); // prettier-ignore
  const rows = [[1, 2, 0, -1], [3, 0, 1, 2]]; // prettier-ignore
  const feeds = { x: float32(rows.flat(), [2, 4]) };
  const expected = rows.flatMap((row) => {
    const inner = four.map((b, j) => b + row.reduce((sum, value, i) => sum + value * W(i, j), 0));
    return four.map((b, j) => b + inner.reduce((sum, value, i) => sum + value * W(j, i), 0));
  });
  const session = await serve(base, { adapter });
  const served = (await session.run(feeds, { adapter: 'adapter' }))[y.name]!;
  await session.release();
  expect([...(served.data as Float32Array)]).toEqual(expected);
  const merged = mergeAdapter(base.model, base.place(adapter)).model;
  expect([...((await runOnce(merged, feeds))[y.name]!.data as Float32Array)]).toEqual(expected);
  // And what is trained is saved so.
  const plan = base.place(adapter).tunings.map(({ tuning }) => tuning);
  const { inputs } = injectAdapters(base.model, plan, { types: base.types, mode: 'training' });
  const set = ParameterSet.of(base.place(adapter), inputs);
  expect([...set.tensors()].map(([, tensor]) => [...(tensor.data as Float32Array)])).toEqual([numbers, numbers]);
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
