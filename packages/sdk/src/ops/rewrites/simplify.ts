/** @file Simplifies a graph: folds known shapes and branches, replaces sequences by Slices, removes dead code. */

import { int64, tensor } from '../../runtime/tensor.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { readTensor, tensorProto } from '../../graph/tensorData.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { type GraphIndex, indexGraph, readNames, subgraphs } from '../../graph/walk.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { isControlFlow, knownBranch } from '../inference/subgraphs.ts';
import { attributeOf } from '../schema.ts';

/** Folds known integers, such as shapes, to constants; some providers lack 64-bit integers. */
export function foldKnownIntegers(graph: GraphProto, types: ReadonlyMap<string, ValueType>): GraphProto {
  const constants: TensorProto[] = [];
  const outputs = new Set((graph.output ?? []).map(({ name }) => name));
  const node = (graph.node ?? []).filter((each) => {
    const names = each.output ?? [];
    const folded = names.map((name) => (outputs.has(name) ? undefined : knownTensor(name, types.get(name))));
    if (folded.length === 0 || folded.some((constant) => constant === undefined)) return true;
    for (const each of folded as TensorProto[]) constants.push(each);
    return false;
  });
  return { ...graph, node, initializer: [...(graph.initializer ?? []), ...constants] };
}

function knownTensor(name: string, type: ValueType | undefined): TensorProto | undefined {
  const ints = type?.ints;
  // Larger numbers, such as a Slice's end, are inexact.
  if (!ints || !isStatic(type.shape) || !ints.every(Number.isSafeInteger)) return undefined;
  if (type.type === 'int64') return tensorProto(name, int64(ints as number[], type.shape));
  if (type.type === 'int32') return tensorProto(name, tensor('int32', Int32Array.from(ints as number[]), type.shape));
  return undefined;
}

/** The nodes that `outputs` depend on, in order. */
export function reachable(nodes: readonly NodeProto[], outputs: Iterable<string>): NodeProto[] {
  const needed = new Set(outputs);
  const kept: NodeProto[] = [];
  for (const node of [...nodes].reverse()) {
    if (!(node.output ?? []).some((name) => name && needed.has(name))) continue;
    kept.push(node);
    for (const name of readNames(node)) needed.add(name);
  }
  return kept.reverse();
}

/** Removes unread initializers, also from the inputs, where old exporters list them and they would have to be fed. */
export function dropUnreadInitializers(graph: GraphProto): GraphProto {
  const read = new Set([
    ...(graph.node ?? []).flatMap(readNames),
    ...(graph.output ?? []).map(({ name }) => name ?? ''),
  ]);
  const isRead = ({ name = '' }: { readonly name?: string }): boolean => read.has(name);
  const unread = new Set((graph.initializer ?? []).filter((each) => !isRead(each)).map(({ name }) => name));
  return {
    ...graph,
    initializer: (graph.initializer ?? []).filter(isRead),
    ...(graph.input && { input: graph.input.filter(({ name }) => !unread.has(name)) }),
  };
}

/** The graph without Ifs of known condition. Value names, also of subgraphs, must be unique (`uniqueNames`). */
export function inlineKnownBranches(graph: GraphProto, types: ReadonlyMap<string, ValueType>): GraphProto {
  const initializers: TensorProto[] = [];
  const node = (graph.node ?? []).flatMap((each): readonly NodeProto[] => {
    const own = withInner(each, (inner) => inlineKnownBranches(inner, types));
    const at =
      isControlFlow(own) && own.opType === 'If' ? knownBranch(own, types.get(own.input?.[0] ?? '')) : undefined;
    const branch = at === undefined ? undefined : subgraphs(own)[at];
    if (!branch || own.output?.some((_, i) => !branch.output?.[i]?.name)) return [own];
    for (const each of branch.initializer ?? []) initializers.push(each);
    const results = (own.output ?? []).flatMap((name, i): readonly NodeProto[] =>
      name ? [{ opType: 'Identity', name: `${name}/Identity`, input: [branch.output![i]!.name!], output: [name] }] : [],
    );
    return [...(branch.node ?? []), ...results];
  });
  return { ...graph, node, initializer: [...(graph.initializer ?? []), ...initializers] };
}

/** Replaces each `SequenceAt(SplitToSequence(x), i)` of constant sizes by a Slice, which has a shape and gradient. */
export function listsAsSlices(graph: GraphProto, opset: number): GraphProto {
  if (!(graph.node ?? []).some(({ opType }) => opType === 'SplitToSequence')) return graph;
  const index = indexGraph(graph);
  const initializers: TensorProto[] = [];
  const node = (graph.node ?? []).map((each) =>
    each.opType === 'SequenceAt' ? slice(each, index, initializers, opset) : each,
  );
  return { ...graph, node, initializer: [...(graph.initializer ?? []), ...initializers] };
}

function slice(at: NodeProto, index: GraphIndex, initializers: TensorProto[], opset: number): NodeProto {
  const [list = '', position = ''] = at.input ?? [];
  const split = index.producer.get(list);
  const [i] = numbers(index.constants.get(position)) ?? [];
  if (split?.opType !== 'SplitToSequence' || i === undefined) return at;
  const [x = '', sizes] = split.input ?? [];
  const bounds = boundsOf(i, sizes ? index.constants.get(sizes) : undefined);
  // Without sizes each part has one element, and may lose the axis.
  if (!bounds || (sizes ? false : attributeOf(split, 'keepdims') === 0) || opset < 10) return at;
  const [output = ''] = at.output ?? [];
  const constant = (name: string, value: number): string => {
    initializers.push(tensorProto(`${output}/${name}`, int64([value], [1])));
    return `${output}/${name}`;
  };
  const [start, end] = bounds;
  const axis = constant('axis', attributeOf(split, 'axis'));
  return { ...at, opType: 'Slice', input: [x, constant('start', start), constant('end', end), axis] };
}

/** Start and end of part `i`; undefined if unknown. */
function boundsOf(i: number, sizes: TensorProto | undefined): readonly [number, number] | undefined {
  const known = numbers(sizes);
  if (!known || (sizes!.dims ?? []).length === 0) {
    const [size] = known ?? [sizes ? undefined : 1];
    return size === undefined || i < 0 ? undefined : [i * size, (i + 1) * size];
  }
  const part = i < 0 ? i + known.length : i;
  const start = known.slice(0, part).reduce((sum, size) => sum + size, 0);
  return known[part] === undefined ? undefined : [start, start + known[part]];
}

function numbers(tensor: TensorProto | undefined): number[] | undefined {
  return tensor && Array.from(readTensor(tensor).data as ArrayLike<number | bigint>, Number);
}
