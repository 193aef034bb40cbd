/** @file Simplifies a graph with known shapes: folds computed shapes and removes dead code. */

import { int64, tensor } from '../../runtime/tensor.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { type ValueType, isStatic } from '../../graph/value.ts';
import { readNames } from '../../graph/walk.ts';

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
