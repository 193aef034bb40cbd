/** @file Decoders that compute logits only at requested places. */

import { int64, Model, type Tensor } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { NodeProto, GraphProto, ValueInfoProto } from '@onnx-lora/sdk/plugin';

/** Input with the places whose logits to compute, int64 `[places]`. */
export const PLACES = 'logit_places';
const LOGITS = 'logits';
const INT64 = 7;

/** Adds the input {@link PLACES}: other tokens skip the vocabulary product. Unsuitable models stay as they are. */
export function withLogitPlaces(model: RunnableModel): RunnableModel {
  if (!(model instanceof Model)) return model;
  const { model: onnx } = model.onnx;
  const graph = narrowed(onnx.graph, LOGITS);
  if (!graph) return model;
  const input = [...(graph.input ?? []), { name: PLACES, type: { tensorType: { elemType: INT64, shape: { dim: [{}] } } } }]; // prettier-ignore
  const output = (graph.output ?? []).map((info) => (info.name === LOGITS ? ofAnyLength(info) : info));
  return model.derived({ model: { ...onnx, graph: { ...graph, input, output } } });
}

/** Feeds of the input, and the places in the resulting logits. */
export function placesFed(
  { inputs }: RunnableModel,
  places: readonly number[],
): { readonly feeds: Readonly<Record<string, Tensor>>; readonly at: readonly number[] } {
  if (!(PLACES in inputs)) return { feeds: {}, at: places };
  return { feeds: { [PLACES]: int64(places, [places.length]) }, at: places.map((_, i) => i) };
}

function narrowed(graph: GraphProto, output: string): GraphProto | undefined {
  const nodes = graph.node ?? [];
  const maker = nodes.find((node) => node.output?.includes(output));
  if (maker?.opType === 'If') {
    const at = maker.output!.indexOf(output);
    const branches = (maker.attribute ?? []).map((each) => {
      const name = each.g?.output?.[at]?.name;
      const branch = each.g && name !== undefined ? narrowed(each.g, name) : undefined;
      return branch && { ...each, g: { ...branch, output: branch.output!.map((info, i) => (i === at ? ofAnyLength(info) : info)) } }; // prettier-ignore
    });
    if (branches.length === 0 || branches.some((branch) => !branch)) return undefined;
    return replaced(graph, maker, [{ ...maker, attribute: branches.flatMap((branch) => branch ?? []) }]);
  }
  const [states, ...others] = maker?.input ?? [];
  // A constant on the left is a transform, not a product of states.
  const isComputed = nodes.some((node) => states !== undefined && node.output?.includes(states));
  if (maker?.opType !== 'MatMul' || !isComputed) return undefined;
  const picked = `${output}/picked`;
  const gather: NodeProto = {
    name: `${output}/Gather`,
    opType: 'Gather',
    input: [states!, PLACES],
    output: [picked],
    // INT.
    attribute: [{ name: 'axis', type: 2, i: 1 }],
  };
  return replaced(graph, maker, [gather, { ...maker, input: [picked, ...others] }]);
}

function replaced(graph: GraphProto, node: NodeProto, by: readonly NodeProto[]): GraphProto {
  return { ...graph, node: (graph.node ?? []).flatMap((each) => (each === node ? by : [each])) };
}

function ofAnyLength(info: ValueInfoProto): ValueInfoProto {
  const tensorType = info.type?.tensorType;
  if (!tensorType?.shape?.dim) return info;
  const dim = tensorType.shape.dim.map((each, axis) => (axis === 1 ? {} : each));
  return { ...info, type: { ...info.type, tensorType: { ...tensorType, shape: { ...tensorType.shape, dim } } } };
}
