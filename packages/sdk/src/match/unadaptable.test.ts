/** @file Which products with weights are no sites, and what is said of them. */

import { describe, expect, test } from 'vitest';
import { modelOf } from '../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../test/support/storedWeights.ts';
import type { Value } from '../graph/builder.ts';
import { attributeType } from '../graph/proto.ts';
import { Random } from '../runtime/random.ts';
import { findSites } from './sites.ts';
import { findUnadaptable, type UnadaptableLayer } from './unadaptable.ts';
import { prepareForMatching } from './view.ts';

const random = new Random(4);
const x: Value = { name: 'x', type: 'float32', shape: [2, 3, 4] };
const rows: Value = { name: 'x', type: 'float32', shape: [3, 4] };

type Build = (g: WeightBuilder, w: (...dims: number[]) => Value) => unknown;

function unadaptable(build: Build, input: Value = x): UnadaptableLayer[] {
  const g = new WeightBuilder(18, '/fc/');
  build(g, (...dims) => g.floats(randomFloats(dims, random), dims));
  const output = g.nodes.at(-1)!.output![0]!;
  const { graph } = prepareForMatching(modelOf({ opset: 18, inputs: [input], outputs: [output], nodes: g.nodes, initializers: g.initializers }) as Parameters<typeof prepareForMatching>[0]); // prettier-ignore
  return findUnadaptable(graph, findSites(graph));
}

describe('is named with its reason', () => {
  const codes = (g: WeightBuilder): Value => g.codes('int8', new Int8Array(8).fill(3), [4, 2]);
  const cases: Readonly<Record<string, readonly [Build, Partial<UnadaptableLayer>, Value?]>> = {
    'a stacked weight': [(g, w) => g.MatMul(x, w(2, 4, 5)), { operator: 'MatMul', shape: [2, 4, 5], reason: 'has a weight of 3 dimensions' }],
    'a constant as the first operand of Gemm': [(g, w) => g.Gemm(w(5, 3), rows), { reason: 'has the constant as its first operand' }, rows],
    'a constant from the left': [
      (g, w) => { g.MatMul(w(5, 3), x); g.nodes.at(-1)!.name = ''; },
      { node: '/fc/MatMul_0', reason: 'multiplies by a constant from the left that has no layer’s name, as transforms do' },
    ],
    'a weight that is computed': [
      (g, w) => g.MatMul(x, g.Mul(w(4, 5), g.Tanh(w(1, 5)))),
      { weight: '/fc/Mul_1', reason: 'reads a weight that other nodes compute from constants (Tanh, Mul)' },
    ],
    'another equation': [(g, w) => g.emit('Einsum', [x, w(4, 5)], { equation: 'bsi,io->bo' }), { reason: "has the equation bsi,io->bo, but a linear layer has another: the label s of the input is summed, but the weight does not have it" }],
    'integers that are scaled otherwise': [
      (g) => {
        const [quantized, scale, zero] = g.emitMany('DynamicQuantizeLinear', [rows], 3);
        g.Mul(g.Cast(g.emit('MatMulInteger', [quantized, codes(g), zero]), 1), scale!);
      },
      { operator: 'MatMulInteger', shape: [4, 2], reason: 'multiplies integers that are quantised or scaled in a way that is not read: operand 1 of /fc/Mul_3 (Mul) is not the scale of the input times a constant' },
      rows,
    ],
    'an operator of another domain': [
      (g, w) => g.emit('Conv', [x, w(4, 4, 3)], {}, 'com.example'),
      { operator: 'com.example.Conv', reason: 'is an operator of com.example, whose meaning is not known' },
    ],
    'RNN': [(g, w) => g.emit('RNN', [x, w(1, 5, 4), w(1, 5, 5)], { hidden_size: 5 }), { operator: 'RNN', shape: [1, 5, 4], reason: 'is recurrent, in a form that is not adapted' }],
    'fused experts': [
      (g, w) => g.emit('MoE', [rows, g.MatMul(rows, w(4, 2)), w(2, 4, 5), undefined, w(2, 5, 4)], { k: 1 }, 'com.microsoft'),
      { operator: 'MoE', shape: [2, 4, 5], reason: 'is a MoE, in a form that is not taken apart' },
      rows,
    ],
  }; // prettier-ignore
  test.each(Object.entries(cases))('%s', (_, [build, expected, input]) => {
    expect(unadaptable(build, input)).toMatchObject([expected]);
  });
});

test.each(['Loop', 'Scan'])('a weight that a %s hands to its body as a state is named with its reason', (operator) => {
  const main = new WeightBuilder(18, 'main/');
  const g = new WeightBuilder(18, 'body/');
  const value = (name: string): Value => ({ name, type: 'float32', shape: [4, 4] });
  const weight = main.floats(randomFloats([4, 4], random), [4, 4]);
  const next = g.Tanh(g.MatMul(value('state'), value('w')));
  const kept = g.Identity(g.Identity(value('w')));
  const port = ({ name }: { name: string }, elemType = 1) => ({ name, type: { tensorType: { elemType } } });
  const isLoop = operator === 'Loop';
  const goesOn = isLoop ? [port(g.Identity({ name: 'condition', type: 'bool', shape: [] }), 9)] : [];
  const counted = isLoop ? [port({ name: 'i' }, 7), port({ name: 'condition' }, 9)] : [];
  const scanned = isLoop ? [] : [port({ name: 'row' })];
  const body = { name: 'body', node: g.nodes, initializer: g.initializers, input: [...counted, port({ name: 'state' }), port({ name: 'w' }), ...scanned], output: [...goesOn, port(next), port(kept)] }; // prettier-ignore
  main.nodes.push({
    name: '/while', opType: operator, input: [...(isLoop ? [main.Squeeze(main.ints([3]), [0]).name, ''] : []), 'x', weight.name, ...(isLoop ? [] : ['x'])], output: ['y', 'z'],
    attribute: [{ name: 'body', type: attributeType.graph, g: body }, { name: 'num_scan_inputs', type: attributeType.int, i: 1 }],
  }); // prettier-ignore
  const { graph } = prepareForMatching(modelOf({ opset: 18, inputs: [value('x')], outputs: ['y'], nodes: main.nodes, initializers: main.initializers }) as Parameters<typeof prepareForMatching>[0]); // prettier-ignore
  // The other operand of the product is a state as well, and changes with each turn.
  expect(findUnadaptable(graph, findSites(graph))).toMatchObject([
    { operator: 'MatMul', weight: weight.name, shape: [4, 4], reason: expect.stringMatching(`^reads its weight as a state of the ${operator} around it, which hands it on unchanged`) }, // prettier-ignore
  ]);
});

test('layers, products of two values, of constants alone and of vectors are not among them', () => {
  expect(unadaptable((g, w) => g.Add(g.MatMul(x, w(4, 5)), w(5)))).toEqual([]);
  expect(unadaptable((g) => g.MatMul(x, g.Transpose(x, [0, 2, 1])))).toEqual([]);
  expect(unadaptable((g, w) => g.Add(g.MatMul(w(4, 4), g.Transpose(w(4, 4), [1, 0])), x))).toEqual([]);
  expect(unadaptable((g, w) => g.MatMul(x, w(4)))).toEqual([]);
});
