/** @file Removes redundant Reshapes, which gradients of products leave behind. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { indexNodes, subgraphs } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';

/** Skips intermediate shapes of chained Reshapes and removes redundant ones; `outputs` keep their names. */
export function straightenReshapes(
  nodes: readonly NodeProto[],
  typeOf: (name: string) => ValueType | undefined,
  outputs: ReadonlySet<string>,
): NodeProto[] {
  const { readers } = indexNodes(nodes);
  const before = new Map<string, string>();
  const renamed = new Map<string, string>();
  return nodes.flatMap((node) => {
    const input = (node.input ?? []).map((name) => renamed.get(name) ?? name);
    const own = input.some((name, i) => name !== node.input![i]) ? { ...node, input } : node;
    if (node.opType !== 'Reshape' || !isStandard(node.domain)) return [own];
    const [x = '', shape = ''] = input;
    const y = node.output![0]!;
    const target = typeOf(shape)?.ints;
    // Zero copies a dimension of the input.
    if (!target || target.includes(0)) return [own];
    const source = before.get(x) ?? x;
    before.set(y, source);
    // Subgraphs read outer names.
    const isInside = (readers.get(y) ?? []).some((reader) => subgraphs(reader).length > 0);
    const same = [x, source].find((name) => isShape(typeOf(name)?.shape, target));
    if (same !== undefined && !outputs.has(y) && !isInside) {
      renamed.set(y, same);
      return [];
    }
    return source === x ? [own] : [{ ...own, input: [source, shape] }];
  });
}

/** Whether a target equals a shape, one dimension at most being inferred. */
function isShape(shape: readonly Dim[] | undefined, target: readonly Dim[]): boolean {
  return shape?.length === target.length && shape.every((dim, i) => target[i] === -1 || target[i] === dim);
}
