/** @file Names that ONNX Runtime's optimiser gives, which it must not meet again. */

import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import { withSubgraphs, withValueNames } from '../../graph/uniqueNames.ts';

/** A name with the optimiser's number, or of a shape that its fusions of MatMul and Reshape make. */
const GENERATED = /_token_\d+$|^gemm_(?:in|out)put_|_new_shape$/;

/**
 * Renames values of a file that ONNX Runtime has optimised. Optimising once more, it gives the same names again, and
 * fails on an initializer that has one ("Attempt to replace the existing tensor"). Inputs and outputs keep theirs.
 */
export function withoutGeneratedNames(model: ModelProto): ModelProto {
  const { graph = {} } = model;
  const names = (graph.initializer ?? []).filter(({ name = '' }) => GENERATED.test(name));
  if (names.length === 0) return model;
  const ports = new Set([...(graph.input ?? []), ...(graph.output ?? [])].map(({ name }) => name));
  const renamed = (name: string): string => (GENERATED.test(name) && !ports.has(name) ? `renamed/${name}/` : name);
  const within = (each: GraphProto): GraphProto => withValueNames(withSubgraphs(each, within), renamed);
  return { ...model, graph: within(graph) };
}
