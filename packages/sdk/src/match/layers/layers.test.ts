/** @file Nodes that are layers, and nodes that are not. Layers of every form: `test/support/layerForms.ts`, in `lora/kinds`. */

import { describe, expect, test } from 'vitest';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import { indexWhole } from '../../graph/walk.ts';
import { Random } from '../../runtime/random.ts';
import { type FindOptions, findSites, type Site } from '../sites.ts';
import { beforeRounding, roundingBehind, soleUse } from './layer.ts';

const random = new Random(17);
const x: Value = { name: 'x', type: 'float32', shape: [2, 3, 4] };
const rows: Value = { name: 'x', type: 'float32', shape: [3, 4] };
const image: Value = { name: 'x', type: 'float32', shape: [1, 4, 5, 5] };
const ids: Value = { name: 'ids', type: 'int64', shape: [2, 3] };

type Build = (g: WeightBuilder, w: (...dims: number[]) => Value) => Value;

function found(build: Build, typeOf?: FindOptions['typeOf']): Site[] {
  const g = new WeightBuilder(18, '/fc/');
  const y = build(g, (...dims) => g.floats(randomFloats(dims, random), dims));
  const graph = { node: g.nodes, initializer: g.initializers, input: [{ name: 'x' }], output: [{ name: y.name }] };
  return findSites(graph, typeOf ? { typeOf } : {});
}

describe('is no layer', () => {
  const einsum =
    (equation: string, ...dims: number[]): Build =>
    (g, w) =>
      g.emit('Einsum', [x, w(...dims)], { equation });
  const none: Readonly<Record<string, Build>> = {
    'Gemm with a transposed input': (g, w) => g.Gemm(rows, w(3, 5), undefined, { transA: true }),
    'Gemm that scales its product': (g, w) => g.Gemm(rows, w(4, 5), undefined, { alpha: 0.5 }),
    'Gemm that scales its bias': (g, w) => g.emit('Gemm', [rows, w(4, 5), w(5)], { beta: float(2) }),
    'Gemm with the weight on the left': (g, w) => g.Gemm(w(5, 3), rows),
    'MatMul with a stacked weight': (g, w) => g.MatMul(x, w(2, 4, 5)),
    'MatMul with a vector': (g, w) => g.MatMul(x, w(4)),
    'MatMul of constants': (g, w) => g.MatMul(w(3, 4), g.Transpose(w(5, 4), [1, 0])),
    'MatMul of computed values': (g) => g.MatMul(x, g.Transpose(x, [0, 2, 1])),
    'Einsum with dots': einsum('...i,io->...o', 4, 5),
    'Einsum without a result': (g, w) => g.emit('Einsum', [x, w(4, 5)], { equation: 'bsi,io' }),
    'Einsum with a repeated label': einsum('bsi,ii->bs', 4, 4),
    'Einsum that sums nothing': einsum('bsi,ij->bsij', 4, 5),
    'Einsum that sums more than the weight does': einsum('bsi,io->bo', 4, 5),
    'Einsum that sums both of the weight': einsum('bsi,si->b', 3, 4),
    'Einsum of three': (g, w) => g.emit('Einsum', [x, w(4, 5), w(5)], { equation: 'bsi,io,o->bso' }),
    'Einsum with experts that are summed': (g, w) => g.emit('Einsum', [x, w(2, 4, 5)], { equation: 'bsi,bio->so' }),
    'Conv with a computed weight': (g) => g.emit('Conv', [image, g.Tanh(image)]),
    'ConvTranspose of three dimensions': (g, w) =>
      g.emit('ConvTranspose', [{ name: 'x', type: 'float32', shape: [1, 4, 2, 2, 2] }, w(4, 3, 2, 2, 2)]),
    'Gather along another axis': (g, w) => g.Gather(w(4, 7), ids, 1),
    'Gather of constant positions': (g, w) => g.Gather(w(7, 4), g.ints([0, 1, 2]), 0),
    'Gather from a vector': (g, w) => g.Gather(w(7), ids, 0),
    'Gather from a computed table': (g) => g.Gather(g.Tanh(rows), ids, 0),
    'Gather of codes that are not scaled': (g) => g.Gather(g.codes('int8', [1, 2, 3, 4], [2, 2]), ids, 0),
    'Gather of codes with a scale each': (g) =>
      g.emit('DequantizeLinear', [g.Gather(g.codes('int8', [1, 2, 3, 4], [2, 2]), ids, 0), g.floats([1, 2], [2])]),
    'MatMulInteger of given integers': (g) =>
      g.emit('MatMulInteger', [{ name: 'x', type: 'uint8', shape: [3, 4] }, g.codes('int8', new Int8Array(8), [4, 2])]),
  };
  test.each(Object.entries(none))('%s', (_, build) => expect(found(build)).toEqual([]));

  const integers = (change: (g: WeightBuilder, parts: { cast: Value; scale: Value }) => Value): Build => (g) => {
    const [codes, scale, zero] = g.emitMany('DynamicQuantizeLinear', [rows], 3);
    const product = g.emit('MatMulInteger', [codes, g.codes('int8', new Int8Array(8).fill(3), [4, 2]), zero]);
    return change(g, { cast: g.Cast(product, 1), scale: scale! });
  }; // prettier-ignore
  test('a product of integers that is scaled otherwise', () => {
    const scaled = (g: WeightBuilder, scale: Value): Value => g.emit('Mul', [scale, g.floats([0.1], [])]);
    expect(found(integers((g, { cast, scale }) => g.Mul(cast, scaled(g, scale))))).toHaveLength(1);
    expect(found(integers((_, { cast }) => cast))).toEqual([]);
    expect(found(integers((g, { cast, scale }) => g.Mul(cast, scale)))).toEqual([]);
    expect(found(integers((g, { cast, scale }) => g.Mul(cast, g.Mul(scale, { name: 'x' }))))).toEqual([]);
    expect(found(integers((g, { cast, scale }) => g.Add(g.Mul(cast, scaled(g, scale)), cast)))).toEqual([]);
  });

  test('a constant on the left that has no name, or meets a value of unknown rank', () => {
    const left: Build = (g, w) => g.MatMul(w(5, 3), x);
    expect(found(left, () => ({ shape: [2, 3, 4] }))).toHaveLength(1);
    expect(found(left, () => undefined)).toEqual([]);
    expect(found(left, () => ({ shape: [4] }))).toEqual([]);
    const unnamed: Build = (g, w) => {
      const y = g.MatMul(w(5, 3), x);
      g.nodes.at(-1)!.name = 'node_12';
      return y;
    };
    expect(found(unnamed, () => ({ shape: [2, 3, 4] }))).toEqual([]);
  });
});

describe('a product of two constants', () => {
  /** `table · Wᵀ` in the module `fc`, whose input and weight have these names. */
  const product = (table: string, weight: string, scope = '/fc/'): Site[] => {
    const g = new WeightBuilder(18, scope);
    const y = g.MatMul(g.floats(randomFloats([9, 2], random), [9, 2], table), g.Transpose(g.floats(randomFloats([4, 2], random), [4, 2], weight), [1, 0])); // prettier-ignore
    const sum = g.Add(x, y);
    return findSites({ node: g.nodes, initializer: g.initializers, input: [{ name: 'x' }], output: [{ name: sum.name }] }); // prettier-ignore
  };
  test('is the module that the second is the weight of', () => {
    expect(product('table', 'fc.weight')).toMatchObject([{ path: 'fc', input: 'table', weightShape: [4, 2] }]);
    expect(product('table', 'onnx::MatMul_7')).toMatchObject([{ path: 'fc', pathSource: 'node-name' }]);
  });
  test('is none where the second is no weight by its name, or the first is one', () => {
    expect(product('table', 'buffer')).toEqual([]);
    expect(product('fc.lora_B.weight', 'fc.lora_A.weight')).toEqual([]);
    expect(product('table', 'onnx::MatMul_7', 'node_')).toEqual([]);
  });
});

describe('a bias', () => {
  const isBias = (build: Build): boolean => found(build)[0]!.bias !== undefined;
  test.each([
    ['[out]', [5], true],
    ['[1, 1, out]', [1, 1, 5], true],
    ['as many as positions', [3, 5], false],
    ['one number', [1], false],
    ['of positions', [3, 1], false],
  ] as const)('of a linear layer: %s', (_, dims, expected) => {
    expect(isBias((g, w) => g.Add(g.MatMul(x, w(4, 5)), w(...dims)))).toBe(expected);
    expect(isBias((g, w) => g.Add(w(...dims), g.MatMul(x, w(4, 5))))).toBe(expected);
  });
  test.each([
    ['[1, out, 1, 1]', [1, 4, 1, 1], true],
    ['[out, 1, 1]', [4, 1, 1], true],
    ['as wide as the image', [4], false],
    ['[out, 1]', [4, 1], false],
  ] as const)('of a convolution: %s', (_, dims, expected) => {
    expect(isBias((g, w) => g.Add(g.emit('Conv', [image, w(4, 4, 2, 2)]), w(...dims)))).toBe(expected);
  });
  test.each([
    ['[out]', [5], true],
    ['[1, out]', [1, 5], true],
    ['[rows, out]', [3, 5], false],
    ['one number', [1], false],
  ] as const)('of Gemm: %s', (_, dims, expected) => {
    expect(isBias((g, w) => g.Gemm(rows, w(4, 5), w(...dims)))).toBe(expected);
  });
  test('is none where others read the product, or the model yields it', () => {
    expect(isBias((g, w) => { const y = g.MatMul(x, w(4, 5)); return g.Mul(g.Add(y, w(5)), y); })).toBe(false); // prettier-ignore
    expect(isBias((g, w) => { const y = g.MatMul(x, w(4, 5)); g.Add(y, w(5)); return y; })).toBe(false); // prettier-ignore
    expect(isBias((g, w) => g.Sub(g.MatMul(x, w(4, 5)), w(5)))).toBe(false);
    expect(isBias((g, w) => g.Add(g.MatMul(x, w(4, 5)), g.Tanh(x)))).toBe(false);
  });
});

test('transposed convolutions are found, with as many outputs as their groups make', () => {
  const [site] = found((g, w) => g.emit('ConvTranspose', [image, w(4, 3, 2, 2), w(6)], { group: 2 }));
  expect(site).toMatchObject({ kind: 'convTranspose2d', weightShape: [4, 3, 2, 2], bias: { index: 2 } });
  const [one] = found((g, w) => g.emit('ConvTranspose', [x, w(3, 2, 2)]));
  expect(one).toMatchObject({ kind: 'convTranspose1d', weightShape: [3, 2, 2] });
});

test('a stacked parameter says along which dimension it is multiplied', () => {
  const [first] = found((g, w) => g.emit('Einsum', [x, w(2, 4, 5)], { equation: 'ebi,eio->ebo' }));
  expect(first).toMatchObject({ kind: 'parameter', contracted: 1, equations: ['ebi,eiR->ebR', 'ebR,eRo->ebo'] });
  const [second] = found((g, w) => g.emit('Einsum', [w(2, 5, 4), x], { equation: 'RSi,eTi->eTS' }));
  expect(second).toBeUndefined();
  const [third] = found((g, w) => g.emit('Einsum', [w(2, 5, 4), x], { equation: 'Roi,Rbi->Rbo' }));
  expect(third).toMatchObject({ contracted: 2, equations: ['Rbi,RiS->RbS', 'RbS,RSo->Rbo'] });
});

describe('rounded values', () => {
  const g = new WeightBuilder(18, '/');
  const by = [g.floats([0.1], []), g.codes('uint8', [128], [])];
  const quantized = g.emit('QuantizeLinear', [x, ...by]);
  const back = g.emit('DequantizeLinear', [quantized, ...by]);
  const twice = g.Add(g.Relu(back), back);
  const index = indexWhole({ node: g.nodes, initializer: g.initializers, output: [{ name: twice.name }] });
  test('lead back to what was rounded', () => {
    expect(beforeRounding(back.name, index)).toBe('x');
    expect(beforeRounding(twice.name, index)).toBe(twice.name);
    expect(beforeRounding(quantized.name, index)).toBe(quantized.name);
  });
  test('lie behind a product that they alone read', () => {
    expect(roundingBehind('x', index)?.map(({ opType }) => opType)).toEqual(['QuantizeLinear', 'DequantizeLinear']);
    expect(roundingBehind(back.name, index)).toBeUndefined();
  });
  test('a sole use is that of one node, of a value that is no output', () => {
    expect(soleUse(quantized.name, index)?.node.opType).toBe('DequantizeLinear');
    expect(soleUse(back.name, index)).toBeUndefined();
    expect(soleUse(twice.name, index)).toBeUndefined();
  });
});
