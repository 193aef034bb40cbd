/** @file Attaches plugins' knowledge of operators to nodes. */

import type { GraphProto, KnownOperator, ModelProto, NodeProto } from './proto.ts';
import { withInner } from './uniqueNames.ts';

/** Attaches knowledge of operators to nodes, in functions and subgraphs too. @param known by {@link operatorName} */
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

/** An operator with its domain, `com.microsoft:Inverse`; only the type for ONNX's own. */
export function operatorName(domain = '', op = ''): string {
  return domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`;
}
