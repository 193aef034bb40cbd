/** @file Types and shapes of what If, Loop and Scan yield, from what their subgraphs do. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute, intsAttribute } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';
import { fromFront } from '../schema.ts';
import { type InferenceSite, input, unknownDim } from './site.ts';

/** Whether the outputs of a node depend on what its subgraphs yield. */
export function isControlFlow({ domain, opType = '' }: NodeProto): boolean {
  return isStandard(domain) && ['If', 'Loop', 'Scan'].includes(opType);
}

/**
 * Types of the outputs of an If, Loop or Scan.
 *
 * @param bodies types of the outputs of each of its subgraphs
 */
export function controlFlow(site: InferenceSite, bodies: readonly (readonly ValueType[])[]): readonly ValueType[] {
  const [first = [], second = first] = bodies;
  switch (site.node.opType) {
    case 'If': {
      const branch = knownBranch(site.node, site.inputs[0]);
      if (branch !== undefined) return bodies[branch] ?? [];
      return first.map((type, i) => common(site, i, type, second[i] ?? {}));
    }
    case 'Loop':
      return loop(site, first);
    default:
      return site.opset < 9 ? [] : scan(site, first);
  }
}

/** Which of the graphs in an If is run: its number; undefined where the condition is not known. */
export function knownBranch(node: NodeProto, condition: ValueType | undefined): number | undefined {
  const [value] = condition?.ints ?? [];
  if (typeof value !== 'number') return undefined;
  const names = (node.attribute ?? []).flatMap(({ name, g }) => (g ? [name] : []));
  const at = names.indexOf(value === 0 ? 'else_branch' : 'then_branch');
  return at < 0 ? undefined : at;
}

/**
 * Of an If whose condition is not known, what it must be where only one of the graphs can run on what is fed.
 *
 * @param possible which of the graphs can
 */
export function onlyBranch(
  node: NodeProto,
  condition: ValueType | undefined,
  possible: readonly boolean[],
): { readonly condition: readonly [number] } | undefined {
  if (knownBranch(node, condition) !== undefined || possible.length !== 2 || possible[0] === possible[1])
    return undefined;
  const names = (node.attribute ?? []).flatMap(({ name, g }) => (g ? [name] : []));
  return { condition: [names[possible.indexOf(true)] === 'then_branch' ? 1 : 0] };
}

/** Values that go round (inputs from 2 on), then lists of what each round yields. */
function loop(site: InferenceSite, body: readonly ValueType[]): ValueType[] {
  const carried = site.inputs.length - 2;
  return body
    .slice(1)
    .map((type, i) =>
      i < carried ? common(site, i, input(site, i + 2), type) : stacked(site, i, type, 0, unknownDim(site, 0, i)),
    );
}

/** Values that go round, then lists along an axis, as long as the lists that are gone through. */
function scan(site: InferenceSite, body: readonly ValueType[]): ValueType[] {
  const { node, inputs } = site;
  const lists = intAttribute(node, 'num_scan_inputs', 0);
  const states = inputs.length - lists;
  const list = input(site, states).shape;
  const length = list?.[fromFront(intsAttribute(node, 'scan_input_axes')?.[0] ?? 0, list.length)];
  const axes = intsAttribute(node, 'scan_output_axes');
  return body.map((type, i) => {
    if (i < states) return common(site, i, input(site, i), type);
    return stacked(site, i, type, axes?.[i - states] ?? 0, length ?? unknownDim(site, 'length', i));
  });
}

/** What holds of both. */
function common(site: InferenceSite, output: number, a: ValueType, b: ValueType): ValueType {
  const type = a.type === b.type ? a.type : undefined;
  const agree = a.shape && b.shape && a.shape.length === b.shape.length;
  if (!agree) return { type };
  return {
    type,
    shape: a.shape.map((dim, i) => (dim === b.shape![i] && isGlobal(dim) ? dim : unknownDim(site, i, output))),
  };
}

function stacked(
  site: InferenceSite,
  output: number,
  { type, shape }: ValueType,
  axis: number,
  length: Dim,
): ValueType {
  const known = shape?.map((dim, i) => (isGlobal(dim) ? dim : unknownDim(site, `each.${i}`, output)));
  return { type, shape: known?.toSpliced(fromFront(axis, known.length + 1), 0, length) };
}

/** Whether a size means the same outside: names that inference made up belong to a value, which may differ each time. */
function isGlobal(dim: Dim): boolean {
  return typeof dim === 'number' || !/\?|^d[0-9a-f]{32}$/.test(dim);
}
