/** @file Inlines the branch of each If with a known condition, such as shape checks of exporters. */

import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import type { ValueType } from '../../graph/value.ts';
import { subgraphs } from '../../graph/walk.ts';
import { isControlFlow, knownBranch } from '../inference/subgraphs.ts';

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
