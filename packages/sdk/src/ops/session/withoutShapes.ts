/**
 * @file Long graphs without shapes, which ONNX Runtime's CPU provider loads in linear time. It plans in advance which value
 *   takes whose memory, by comparing each with all that are free; values with unnamed sizes are never equal, so that their
 *   number grows with the graph. Values without a shape are not compared.
 */

import type { ModelProto, ValueInfoProto } from '../../graph/proto.ts';
import { declaredType } from '../inferGraph.ts';

/**
 * Fewest nodes. Fewer load within a second, and are better with shapes: scales of attention scores are fused into their
 * product, which saves a tenth where sequences are long and layers narrow.
 */
const SMALLEST = 2500;

/** The model without shapes; undefined where all are static, or it has few nodes. */
export function withoutShapes(model: ModelProto, smallest: number = SMALLEST): ModelProto | undefined {
  const { graph = {} } = model;
  const { node = [], input = [], output = [], initializer = [] } = graph;
  if (node.length < smallest) return undefined;
  // Inputs with a default keep its shape.
  const given = new Set(initializer.map(({ name }) => name));
  const fed = input.filter(({ name }) => !given.has(name));
  const isDynamic = fed.some((info) => declaredType(info).shape?.some((dim) => typeof dim === 'string') ?? true);
  if (!isDynamic) return undefined;
  return {
    ...model,
    graph: {
      ...graph,
      input: input.map((info) => (given.has(info.name) ? info : unshaped(info))),
      output: output.map(unshaped),
      valueInfo: [],
    },
  };
}

function unshaped({ type, ...info }: ValueInfoProto): ValueInfoProto {
  if (!type?.tensorType) return type ? { ...info, type } : info;
  const { shape: _, ...tensorType } = type.tensorType;
  return { ...info, type: { ...type, tensorType } };
}
