/** @file Nodes whose operand types the runtime is sure to reject. */

import { type Dim, type ValueType, isStatic } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { isElementwise } from '../axes.ts';
import { broadcast, product } from '../dim.ts';
import { isStandard } from '../domains.ts';
import { axesOf, type InferenceSite, input } from './site.ts';
import { attributeOf, axisOf, fromFront } from '../schema.ts';

type Refusal = (site: InferenceSite) => boolean;

function differ(a: Dim | undefined, b: Dim | undefined): boolean {
  return typeof a === 'number' && typeof b === 'number' && a !== b;
}

const broadcasting: Refusal = ({ inputs }) => {
  const shapes = inputs.flatMap((each) => (each?.shape ? [each.shape] : []));
  return shapes.reduce<readonly Dim[] | undefined>((a, b) => a && broadcast(a, b), []) === undefined;
};

/** `[positions, rows, features]`, and weights `[directions, gates, features]`. */
const recurrent: Refusal = (site) => {
  const [x, w] = [input(site).shape, input(site, 1).shape];
  return x !== undefined && (x.length !== 3 || differ(x[2], w?.[2]));
};

/** Images and weights have equal ranks and matching channels. */
const convolution: Refusal = (site) => {
  const [x, w] = [input(site).shape, input(site, 1).shape];
  if (!x || !w) return false;
  const channels = typeof w[1] === 'number' ? w[1] * attributeOf(site.node, 'group') : undefined;
  return x.length !== w.length || (site.node.opType === 'Conv' && differ(x[1], channels));
};

const matMul: Refusal = (site) => {
  const [a, b] = [input(site).shape, input(site, 1).shape];
  return a !== undefined && b !== undefined && differ(a.at(-1), b.length === 1 ? b[0] : b.at(-2));
};

const gemm: Refusal = (site) => {
  const [a, b] = [input(site).shape, input(site, 1).shape];
  if (a?.length !== 2 || b?.length !== 2) return (a?.length ?? 2) !== 2 || (b?.length ?? 2) !== 2;
  const [transA, transB] = ['transA', 'transB'].map((name) => intAttribute(site.node, name, 0));
  return differ(a[transA ? 0 : 1], b[transB ? 1 : 0]);
};

const concat: Refusal = (site) => {
  const shapes = site.inputs.flatMap((each) => (each?.shape ? [each.shape] : []));
  const [first] = shapes;
  const axis = first && axisOf(site.node, first.length);
  return shapes.some(
    (shape) => shape.length !== first!.length || shape.some((dim, i) => i !== axis && differ(dim, first![i])),
  );
};

const squeeze: Refusal = (site) => {
  const { shape } = input(site);
  return shape !== undefined && (axesOf(site, 1) ?? []).some((axis) => differ(shape[fromFront(axis, shape.length)], 1));
};

const reshape: Refusal = (site) => {
  const [{ shape }, { ints }] = [input(site), input(site, 1)];
  if (!isStatic(shape) || !isStatic(ints) || ints.includes(0)) return false;
  const [size, rest] = [product(shape) as number, product(ints.filter((dim) => dim !== -1)) as number];
  return ints.includes(-1) ? size % rest !== 0 : size !== rest;
};

const refusals: Readonly<Record<string, Refusal>> = {
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Conv: convolution,
  ConvTranspose: convolution,
  MatMul: matMul,
  Gemm: gemm,
  Concat: concat,
  Squeeze: squeeze,
  Reshape: reshape,
};

/** Whether a standard node is sure to fail; its inferred `outputs` may be invalid. */
export function isRefused(site: InferenceSite, outputs: readonly ValueType[]): boolean {
  const { domain, opType = '' } = site.node;
  if (!isStandard(domain)) return false;
  const isSenseless = outputs.some(({ shape }) => shape?.some((dim) => typeof dim === 'number' && dim < 0));
  if (isSenseless || isElementwise(site.node)) return isSenseless || broadcasting(site);
  return Object.hasOwn(refusals, opType) && refusals[opType]!(site);
}
