/** @file Reshapes of reshapes, and those that change nothing: gradients go between a value and its rows at each product. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { indexNodes, subgraphs } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';

/**
 * Each Reshape to a known shape reads what was there before it was reshaped, and is left out where it has that shape.
 *
 * @param typeOf what is known of a value: of shapes that Reshape reads their contents
 * @param outputs values that keep their names
 */
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
    // Zero is the dimension of what is reshaped.
    if (!target || target.includes(0)) return [own];
    const source = before.get(x) ?? x;
    before.set(y, source);
    // Branches read names of the graph around them.
    const isInside = (readers.get(y) ?? []).some((reader) => subgraphs(reader).length > 0);
    const same = [x, source].find((name) => isShape(typeOf(name)?.shape, target));
    if (same !== undefined && !outputs.has(y) && !isInside) {
      renamed.set(y, same);
      return [];
    }
    return source === x ? [own] : [{ ...own, input: [source, shape] }];
  });
}

/** Whether a value of a shape is reshaped to what it is, one dimension of the target being open at most. */
function isShape(shape: readonly Dim[] | undefined, target: readonly Dim[]): boolean {
  return shape?.length === target.length && shape.every((dim, i) => target[i] === -1 || target[i] === dim);
}
