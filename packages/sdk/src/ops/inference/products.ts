/** @file Shape inference of matrix products. */

import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { broadcast, divideExactly } from '../dim.ts';
import { attributeOf, equationOf } from '../schema.ts';
import { firstType, type InferenceSite, input, type Rule, shaped } from './site.ts';

/** The product of inputs 0 and `right`, of element type `type`. */
export const product =
  (type: (site: InferenceSite) => ValueType['type'], right = 1): Rule =>
  (site) => {
    const [a, b] = [input(site).shape, input(site, right).shape];
    return [{ type: type(site), shape: a && b && matMulShape(a, b) }];
  };

/** {@link product} of matrices, with transA and transB. */
export const gemm =
  (type: (site: InferenceSite) => ValueType['type'], right = 1): Rule =>
  (site) => {
    const [a, b] = [input(site).shape, input(site, right).shape];
    if (!a || !b) return [{ type: type(site) }];
    const rows = a[attributeOf(site.node, 'transA') ? 1 : 0]!;
    const columns = b[attributeOf(site.node, 'transB') ? 0 : 1]!;
    return [{ type: type(site), shape: [rows, columns] }];
  };

const fusedMatMul: Rule = (site) => {
  const operand = (index: number, which: 'A' | 'B'): readonly Dim[] | undefined => {
    const { shape } = input(site, index);
    if (!shape || shape.length < 2) return shape;
    const moved =
      intAttribute(site.node, `transBatch${which}`, 0) === 1
        ? [...shape.slice(1, -1), shape[0]!, shape.at(-1)!]
        : shape;
    return intAttribute(site.node, `trans${which}`, 0) === 1
      ? [...moved.slice(0, -2), moved.at(-1)!, moved.at(-2)!]
      : moved;
  };
  const [a, b] = [operand(0, 'A'), operand(1, 'B')];
  return [{ type: firstType(site), shape: a && b && matMulShape(a, b) }];
};

const withLast = (last: (site: InferenceSite) => Dim | undefined): Rule =>
  shaped((shape, site) => {
    const width = last(site);
    return width === undefined ? undefined : [...shape.slice(0, -1), width];
  });

/** An ellipsis stands for broadcast dimensions without letters. */
const einsum: Rule = (site) => {
  const type = firstType(site);
  const { terms, result } = equationOf(site.node);
  const sizes = new Map<string, Dim>();
  let rest: readonly Dim[] | undefined = [];
  for (const [i, term] of terms.entries()) {
    const { shape } = input(site, i);
    if (!shape) return [{ type }];
    const [before = '', after] = term.split('...');
    const end = after === undefined ? before.length : shape.length - after.length;
    if (after !== undefined) rest = rest && broadcast(rest, shape.slice(before.length, end));
    const named = [...shape.slice(0, before.length), ...shape.slice(end)];
    for (const [k, letter] of [...before, ...(after ?? '')].entries()) {
      const dim = named[k];
      if (dim !== undefined && (sizes.get(letter) ?? 1) === 1) sizes.set(letter, dim);
    }
  }
  const [before = '', after] = result.split('...');
  const dims = (names: string): (Dim | undefined)[] => [...names].map((letter) => sizes.get(letter));
  const shape = after === undefined ? dims(before) : [...dims(before), ...(rest ?? [undefined]), ...dims(after)];
  return [{ type, shape: shape.every((dim) => dim !== undefined) ? shape : undefined }];
};

export const productRules: Readonly<Record<string, Rule>> = {
  MatMul: product(firstType),
  Gemm: gemm(firstType),
  Einsum: einsum,
  FusedGemm: gemm(firstType),
  FusedMatMul: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  FusedMatMulActivation: fusedMatMul,
  GemmFastGelu: product(firstType),
  DynamicQuantizeMatMul: product(firstType),
  MatMulIntegerToFloat: product((site) => input(site, 2).type),
  MatMulInteger: product(() => 'int32'),
  MatMulInteger16: product(() => 'int32'),
  MatMulNBits: withLast(({ node }) => intAttribute(node, 'N', undefined)),
  MatMulBnb4: withLast(({ node }) => intAttribute(node, attributeOf(node, 'transB') === 1 ? 'N' : 'K', undefined)),
  BiasSplitGelu: withLast((site) => {
    const last = input(site).shape?.at(-1);
    return last === undefined ? undefined : divideExactly(last, 2);
  }),
};

/** Shape of numpy's `matmul`; undefined for an invalid one. */
function matMulShape(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const left = a.length === 1 ? [1, a[0]!] : a;
  const right = b.length === 1 ? [b[0]!, 1] : b;
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  if (!batch) return undefined;
  return [
    ...batch,
    ...(a.length === 1 ? [] : [left[left.length - 2]!]),
    ...(b.length === 1 ? [] : [right[right.length - 1]!]),
  ];
}
