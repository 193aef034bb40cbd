/** @file Shape inference of If, Loop and Scan from their subgraphs. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute, intsAttribute } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';
import { fromFront } from '../schema.ts';
import { type InferenceSite, input, unknownDim } from './site.ts';

/** Whether a node is an If, Loop or Scan. */
export function isControlFlow({ domain, opType = '' }: NodeProto): boolean {
  return isStandard(domain) && ['If', 'Loop', 'Scan'].includes(opType);
}

/** Output types of an If, Loop or Scan from those of its subgraphs. */
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

/** Index of the branch that an If runs; undefined for an unknown condition. */
export function knownBranch(node: NodeProto, condition: ValueType | undefined): number | undefined {
  const [value] = condition?.ints ?? [];
  if (typeof value !== 'number') return undefined;
  const names = (node.attribute ?? []).flatMap(({ name, g }) => (g ? [name] : []));
  const at = names.indexOf(value === 0 ? 'else_branch' : 'then_branch');
  return at < 0 ? undefined : at;
}

/** The condition of an If that leaves the only branch that can run. */
export function onlyBranch(
  node: NodeProto,
  condition: ValueType | undefined,
  possible: readonly boolean[],
): number | undefined {
  if (knownBranch(node, condition) !== undefined || possible.length !== 2 || possible[0] === possible[1])
    return undefined;
  const names = (node.attribute ?? []).flatMap(({ name, g }) => (g ? [name] : []));
  return names[possible.indexOf(true)] === 'then_branch' ? 1 : 0;
}

/** Loop-carried values (inputs from 2 on), then scan outputs. */
function loop(site: InferenceSite, body: readonly ValueType[]): ValueType[] {
  const carried = site.inputs.length - 2;
  return body
    .slice(1)
    .map((type, i) =>
      i < carried ? common(site, i, input(site, i + 2), type) : stacked(site, i, type, 0, unknownDim(site, 0, i)),
    );
}

/** States, then scan outputs as long as the scan inputs. */
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

/** The common part of two types. */
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

/** Whether a symbol means the same outside: inferred symbols may differ per iteration. */
function isGlobal(dim: Dim): boolean {
  return typeof dim === 'number' || !/\?|^d[0-9a-f]{32}$/.test(dim);
}
