/** @file Appends a linear head to a graph that ends in features. */

import type { AttachedHead } from '../../adapter/storage/adapterNotes.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { formatShape } from '../../graph/value.ts';
import { indexWhole } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32 } from '../../runtime/tensor.ts';
import { withOutputsOnly } from '../graph/cutGraph.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import type { Graphed, HeadValues } from './replaceHead.ts';

/** Output name of an attached head. */
export const SCORES = 'logits';

const LAST = 2 ** 31 - 1;

/** The input of the head: the output, or the input of the module that it replaces. */
function readBy(head: AttachedHead, model: ModelGraph): string {
  if (head.inPlaceOf === undefined) return head.output;
  const sites = model.sites();
  const site = sites.find(({ path }) => path === head.inPlaceOf);
  if (site) return site.input;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" has no module "${head.inPlaceOf}", whose place the head takes.${didYouMean(head.inPlaceOf, sites.map(({ path }) => path))} Take the model that the head was made for.`, // prettier-ignore
  );
}

/**
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if the number of features is unknown, or the output's shape does not fit
 */
export function headWidth(model: ModelGraph, head: AttachedHead): number {
  const value = readBy(head, model);
  const shape = model.types().get(value)?.shape;
  const isTokens = shape?.length === 3;
  const width = shape?.length === 4 ? shape[1] : shape?.at(-1);
  const fits = head.pool === 'all' ? shape?.length === 2 || shape?.length === 4 : isTokens;
  if (fits && typeof width === 'number') return head.pool === 'first-and-mean' ? 2 * width : width;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `A head that reads "${value}" (${head.pool}) cannot be attached to "${model.name}": its shape is ${formatShape(shape)}. Name an output of [batch, features], of tokens [batch, tokens, features], or of maps [batch, features, height, width].`,
  );
}

/**
 * Appends a linear layer to an output, or in place of the model's head. Its output {@link SCORES} is float32 `[batch,
 * outputs]`, or `[batch, tokens, outputs]` for a head per token.
 * @throws OnnxLoraError as {@link headWidth}; `MODEL_UNSUPPORTED` if an output of that name exists
 */
export function appendHead(given: ModelGraph, head: AttachedHead, { weight, bias }: HeadValues): Graphed {
  headWidth(given, head);
  const { name } = given;
  const types = given.types();
  const read = readBy(head, given);
  const model = head.inPlaceOf === undefined ? given.onnx.model : withoutHead(given, head, read);
  const { graph } = model;
  if (head.inPlaceOf === undefined ? types.has(SCORES) : indexWhole(graph).producer.has(SCORES)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has a value "${SCORES}" already, so no head is attached to it. Take the model as it is, or export it without its head.`,
    );
  }
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: `head/${head.module}/` });
  const [out, width] = weight.dims as [number, number];
  const features = pooled(g, { name: read, ...types.get(read) }, head, maskOf(given, head));
  const scope = `/${head.module}`;
  const names = { weight: `head/${head.module}/weight`, bias: `head/${head.module}/bias` };
  const product = `head/${head.module}/product`;
  const shape = types.get(read)?.shape;
  const rows = head.pool === 'each' ? shape!.slice(0, -1) : [shape?.[0] ?? 'batch'];
  return {
    ...model,
    graph: {
      ...graph,
      node: [
        ...(graph.node ?? []),
        ...g.nodes,
        { name: `${scope}/MatMul`, opType: 'MatMul', input: [features.name, names.weight], output: [product] },
        { name: `${scope}/Add`, opType: 'Add', input: [product, names.bias], output: [SCORES] },
      ],
      initializer: [
        ...(graph.initializer ?? []),
        ...g.initializers,
        tensorProto(names.weight, float32(transposed(weight.data as Float32Array, out, width), [width, out])),
        tensorProto(names.bias, bias),
      ],
      output: [valueInfo(SCORES, 'float32', [...rows, out]), ...(graph.output ?? [])],
    },
  };
}

function withoutHead({ onnx: { model } }: ModelGraph, head: AttachedHead, read: string): Graphed {
  const others = (model.graph.output ?? []).filter(({ name }) => name !== head.output);
  const { graph, ...rest } = withOutputsOnly(model, others, [read]);
  return { ...rest, graph: { ...graph, input: model.graph.input ?? [] } };
}

function maskOf(model: ModelGraph, { mask }: AttachedHead): Value | undefined {
  if (mask === undefined) return undefined;
  if (Object.hasOwn(model.inputs, mask)) return { name: mask, ...model.types().get(mask) };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" has no input "${mask}", which says for the head what is padding. Leave the mask out, or take the model that the head was made for.`,
  );
}

function pooled(g: GraphBuilder, given: Value, { pool, skip }: AttachedHead, mask: Value | undefined): Value {
  const float = dataTypeNumber('float32');
  const x = given.type === 'float32' || given.type === undefined ? given : g.Cast(given, float);
  if (pool === 'each') return x;
  if (pool === 'all') return x.shape?.length === 4 ? g.ReduceMean(x, [2, 3], false) : x;
  const first = (): Value => g.Squeeze(g.Slice(x, [0], [1], [1]), [1]);
  const rest = (value: Value): Value => (skip === 0 ? value : g.Slice(value, [skip], [LAST], [1]));
  const mean = (): Value => {
    if (!mask) return g.ReduceMean(rest(x), [1], false);
    const weights = g.Cast(rest(mask), float);
    // Avoids division by zero for rows of padding only.
    const count = g.Max(g.ReduceSum(weights, [1], true), g.constant(float32([1], [1, 1])));
    return g.Div(g.Squeeze(g.MatMul(g.Unsqueeze(weights, [1]), rest(x)), [1]), count);
  };
  if (pool === 'first') return first();
  return pool === 'mean' ? mean() : g.Concat([first(), mean()], 1);
}
