/** @file Converts integer biases of requantised layers to floats. */

import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { type GraphIndex, indexWhole } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { constantWeight, floatTensor, floatType } from '../../match/weights/index.ts';

/**
 * Converts these layers' integer biases to floats. Their implied scale is that of input and weight: ONNX Runtime's
 * QGemm ignores the bias's own, so requantising the weight would change the bias. The runtime requantises floats.
 */
export function withFloatBiases(model: ModelProto, places: readonly Site[]): ModelProto {
  const at = new Map(places.flatMap(({ node, bias }) => (bias?.node === node ? [[node.output![0]!, bias.index]] : [])));
  if (at.size === 0) return model;
  const graph = model.graph ?? {};
  const index = indexWhole(graph);
  const added = new Map<string, TensorProto>();
  const replaced = readingFloats(graph, at, index, added);
  if (added.size === 0) return model;
  return { ...model, graph: { ...replaced, initializer: [...(replaced.initializer ?? []), ...added.values()] } };
}

function readingFloats(
  graph: GraphProto,
  at: ReadonlyMap<string, number>,
  index: GraphIndex,
  added: Map<string, TensorProto>,
): GraphProto {
  let isSame = true;
  const node = (graph.node ?? []).map((each): NodeProto => {
    const inner = withInner(each, (own) => readingFloats(own, at, index, added));
    const which = at.get(each.output?.[0] ?? '');
    const name = which === undefined ? undefined : each.input?.[which];
    const stored = constantWeight(name, index);
    const result =
      stored?.storage === 'int32' ? { ...inner, input: inner.input!.with(which!, `${name}/floats`) } : inner;
    if (stored?.storage === 'int32') {
      const type = floatType(stored.tensors[1]?.tensor.dataType) ?? 'float32';
      added.set(name!, floatTensor(`${name}/floats`, type, stored.read(), stored.dims));
    }
    if (result !== each) isSame = false;
    return result;
  });
  return isSame ? graph : { ...graph, node };
}
