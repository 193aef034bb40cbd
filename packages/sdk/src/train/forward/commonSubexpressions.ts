/** @file Eliminates common subexpressions: exporters repeat masks, positions and shapes in every layer. */

import { toBase64 } from '../../platform/bytes.ts';
import { readBytes } from '../../graph/bytes.ts';
import type { AttributeProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { subgraphs } from '../../graph/walk.ts';
import { isRandom } from '../../ops/schema.ts';
import type { ForwardGraph } from './forwardGraph.ts';

/** Constants up to this size are compared by value. */
const SMALL = 64;

/** Replaces every node that computes the same as an earlier one. */
export function eliminateCommonSubexpressions(graph: ForwardGraph): void {
  const { constants, outputs } = graph;
  const renamed = new Map<string, string>();
  const seen = new Map<string, NodeProto>();
  const identity = (name: string): string => {
    const own = renamed.get(name) ?? name;
    const tensor = constants.get(own);
    return (tensor && contents(tensor)) ?? `:${own}`;
  };
  graph.nodes = graph.nodes.flatMap((node) => {
    const names = node.output ?? [];
    const input = (node.input ?? []).map((name) => renamed.get(name) ?? name);
    const own = input.some((name, i) => name !== node.input![i]) ? { ...node, input } : node;
    // Branches read names of the surrounding graph.
    if (subgraphs(node).length > 0 || isRandom(node) || node.opType === 'Constant') return [own];
    if (names.some((name) => outputs.has(name))) return [own];
    const key = [
      node.domain ?? '',
      node.opType,
      names.map((name) => (name ? 'y' : '')).join(),
      ...(node.attribute ?? []).map(attributeKey).sort(),
      ...input.map(identity),
    ].join('|');
    const first = seen.get(key);
    if (!first) {
      seen.set(key, own);
      return [own];
    }
    names.forEach((name, i) => name && renamed.set(name, first.output![i]!));
    return [];
  });
}

function contents(tensor: TensorProto): string | undefined {
  const { dims = [], dataType, rawData } = tensor;
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (size > SMALL || !rawData) return undefined;
  return `=${dataType}[${dims.join()}]${encoded(rawData)}`;
}

function attributeKey({ name, i, f, s, ints, floats, strings, t }: AttributeProto): string {
  return [
    name,
    i ?? '',
    f ?? '',
    s ? encoded(s) : '',
    ints?.join() ?? '',
    floats?.join() ?? '',
    strings?.map(encoded).join() ?? '',
    t ? (contents(t) ?? Math.random()) : '',
  ].join(':');
}

function encoded(bytes: Parameters<typeof readBytes>[0]): string {
  return toBase64(readBytes(bytes));
}
