/** @file Rewrites the layers of a head with other weights and numbers of outputs. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { toHalf, toShorts } from '../../runtime/halfFloat.ts';
import type { ValueType } from '../../graph/value.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { addendInput, lastNode } from '../../match/layers/layer.ts';
import { dropUnreadInitializers } from '../../ops/rewrites/simplify.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import type { ScoreValues } from './scoreValues.ts';

/** Weight and bias of a layer in float32, in torch's layout: `[out, in]` or `[out, in, height, width]`, and `[out]`. */
export interface HeadValues {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

export type Graphed = ModelProto & { readonly graph: GraphProto };

/**
 * Replaces heads by others with these values, which have a bias even if the old ones had none.
 * @param scores from {@link scoreValues} for these heads
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a layer whose added value is not a bias
 */
export function replaceHeads(
  model: Graphed,
  heads: ReadonlyMap<Site, HeadValues>,
  { scores, types }: { readonly scores: ScoreValues; readonly types: ReadonlyMap<string, ValueType> },
): Graphed {
  const { graph } = model;
  const dropped = new Set<NodeProto>();
  const added = new Map<NodeProto, readonly NodeProto[]>();
  const initializers: TensorProto[] = [];
  for (const [site, values] of heads) {
    for (const [i, call] of occurrencesOf(site).entries()) {
      if (addendInput(call) !== undefined && !call.bias) {
        throw new OnnxLoraError(
          'MODEL_UNSUPPORTED',
          `The head "${site.path}" adds a value that is computed, so its weights cannot be exchanged. Export the model again, its head a plain linear layer.`,
        );
      }
      const last = lastNode(call);
      for (const each of [...call.nodes, last]) dropped.add(each);
      added.set(last, layerNodes(site.path, call, i));
    }
    const isHalf = types.get(site.product)?.type === 'float16';
    for (const [name, tensor] of layerTensors(site, values))
      initializers.push(tensorProto(name, isHalf ? halved(tensor) : tensor));
  }
  const size = [...heads.values()][0]!.bias.dims[0]!;
  // A replaced head, such as an adapter's, has these names already.
  const replaced = new Set(initializers.map(({ name }) => name));
  return {
    ...model,
    graph: dropUnreadInitializers({
      ...graph,
      node: (graph.node ?? []).flatMap((node) => added.get(node) ?? (dropped.has(node) ? [] : [node])),
      initializer: [...(graph.initializer ?? []).filter(({ name }) => !replaced.has(name)), ...initializers],
      output: (graph.output ?? []).map((info) => withSize(info, scores, { dimValue: size })),
      valueInfo: (graph.valueInfo ?? []).filter(({ name = '' }) => !scores.has(name)),
    }),
  };
}

/** Removes the number of outputs from the model's declarations, for heads of any size. */
export function withDynamicHeads(model: Graphed, scores: ScoreValues): Graphed {
  const { graph } = model;
  return {
    ...model,
    graph: {
      ...graph,
      output: (graph.output ?? []).map((info) => withSize(info, scores, {})),
      valueInfo: (graph.valueInfo ?? []).filter(({ name = '' }) => !scores.has(name)),
    },
  };
}

/** Types with a symbolic number of outputs. */
export function dynamicHeadTypes(types: ReadonlyMap<string, ValueType>, scores: ScoreValues): Map<string, ValueType> {
  const all = new Map(types);
  for (const [name, axis] of scores) {
    const { shape, ...rest } = all.get(name) ?? {};
    if (shape && axis !== undefined)
      all.set(name, { ...rest, shape: shape.map((dim, i) => (i === axis ? `${name}.labels` : dim)) });
  }
  return all;
}

function withSize(info: ValueInfoProto, scores: ScoreValues, size: { readonly dimValue?: number }): ValueInfoProto {
  const at = scores.get(info.name ?? '');
  const tensorType = info.type?.tensorType;
  if (at === undefined || at < 0 || !tensorType?.shape?.dim) return info;
  const dim = tensorType.shape.dim.map((each, i) => (i === at ? size : each));
  return { ...info, type: { tensorType: { ...tensorType, shape: { dim } } } };
}

/** Names of the new weights. Not torch's: the old tensors may still serve other layers. */
const named = (path: string): [weight: string, bias: string] => [`head/${path}/weight`, `head/${path}/bias`];

/** The nodes of a call with new weights: MatMul and Add, or the convolution. Their names tell the module. */
function layerNodes(path: string, call: Site, number: number): NodeProto[] {
  const [weight, bias] = named(path);
  const nameOf = (operator: string): string => `/${path}/${operator}${number === 0 ? '' : `_${number}`}`;
  const { input, output } = call;
  if (call.kind !== 'linear')
    return [{ ...call.node, name: nameOf('Conv'), opType: 'Conv', input: [input, weight, bias], output: [output] }];
  const product = `${output}/product`;
  return [
    { name: nameOf('MatMul'), opType: 'MatMul', input: [input, weight], output: [product] },
    { name: nameOf('Add'), opType: 'Add', input: [product, bias], output: [output] },
  ];
}

function layerTensors({ kind, path }: Site, { weight, bias }: HeadValues): [name: string, tensor: Tensor][] {
  const [weightName, biasName] = named(path);
  const [out, width] = weight.dims as [number, number];
  const stored =
    kind === 'linear' ? float32(transposed(weight.data as Float32Array, out, width), [width, out]) : weight;
  return [[weightName, stored], [biasName, bias]]; // prettier-ignore
}

function halved({ dims, data }: Tensor): Tensor {
  return { type: 'float16', dims, data: toShorts(data as Float32Array, toHalf) };
}
