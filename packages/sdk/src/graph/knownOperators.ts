/** @file Gives nodes what is known of their operators from elsewhere than the SDK's own tables. */

import type { GraphProto, KnownOperator, ModelProto, NodeProto } from './proto.ts';
import { withInner } from './uniqueNames.ts';

/**
 * The model with what is known of some operators beside each of their nodes, in functions and subgraphs too.
 *
 * @param known by {@link operatorName}
 */
export function withKnownOperators<M extends ModelProto>(model: M, known: ReadonlyMap<string, KnownOperator>): M {
  if (known.size === 0) return model;
  const annotated = (node: NodeProto): NodeProto => {
    const inner = withInner(node, graph);
    const found = known.get(operatorName(node.domain, node.opType));
    return found ? { ...inner, known: found } : inner;
  };
  const graph = (each: GraphProto): GraphProto => ({ ...each, node: (each.node ?? []).map(annotated) });
  return {
    ...model,
    ...(model.graph ? { graph: graph(model.graph) } : {}),
    ...(model.functions
      ? { functions: model.functions.map((each) => ({ ...each, node: (each.node ?? []).map(annotated) })) }
      : {}),
  };
}

/** An operator with its domain, `com.microsoft:Inverse`; the type alone for ONNX's own. */
export function operatorName(domain = '', op = ''): string {
  return domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`;
}
