/** @file Puts the branch that is run in place of an If, where the sizes of a batch decide it, as exporters' checks of shapes do. */

import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import type { ValueType } from '../../graph/value.ts';
import { subgraphs } from '../../graph/walk.ts';
import { isControlFlow, knownBranch } from '../inference/subgraphs.ts';

/**
 * The graph without the Ifs whose condition is known. Values of subgraphs must have names of their own (`uniqueNames`).
 *
 * @param types of all values, those of subgraphs too
 */
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
