/** @file Inputs that a joined model does not have, such as the past of a decoder that begins: they are constants. */

import { OnnxLoraError } from '../../errors.ts';
import { byteCount, dataTypeName } from '../../graph/dataType.ts';
import type { GraphProto, ModelProto, TensorProto, ValueInfoProto } from '../../graph/proto.ts';

/** A flag has one element, a past none. */
const MOST = 64;

/**
 * The model with these inputs as constants: flags false, numbers 0, sizes that are only known at run time 0, so that a
 * tensor with one has no elements.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an input of no known type or shape, or with elements that mean something
 */
export function withIdleInputs(
  model: ModelProto & { readonly graph: GraphProto },
  idle: RegExp | undefined,
): ModelProto & { graph: GraphProto } {
  const { graph } = model;
  const found = idle ? (graph.input ?? []).filter(({ name = '' }) => idle.test(name)) : [];
  if (found.length === 0) return model;
  const constants = found.map(constantOf);
  return {
    ...model,
    graph: {
      ...graph,
      input: (graph.input ?? []).filter((info) => !found.includes(info)),
      initializer: [...(graph.initializer ?? []), ...constants],
    },
  };
}

function constantOf({ name = '', type }: ValueInfoProto): TensorProto {
  const { elemType, shape } = type?.tensorType ?? {};
  const dims = shape?.dim?.map(({ dimValue }) => dimValue ?? 0);
  const size = dims?.reduce((product, dim) => product * dim, 1) ?? Infinity;
  if (dims && elemType !== undefined && dataTypeName(elemType) && size <= MOST)
    return { name, dims, dataType: elemType, rawData: new Uint8Array(byteCount(elemType, size)!) };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The input "${name}" should be left out of the joined model, but it is no flag and no empty tensor. Use a file without it.`,
  );
}
