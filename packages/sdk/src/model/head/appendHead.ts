/** @file Adds a linear head to a graph that ends in features. */

import type { AttachedHead } from '../../adapter/adapterNotes.ts';
import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { formatShape, type ValueType } from '../../graph/value.ts';
import { valueInfo } from '../../lora/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { HeadValues } from './replaceHead.ts';

/** The output that an attached head gives. */
const SCORES = 'logits';

const LAST = 2 ** 31 - 1;

/** What is read of a model. */
export interface FeatureModel {
  readonly name: string;
  readonly model: ModelProto & { readonly graph: GraphProto };
  readonly types: ReadonlyMap<string, ValueType>;
}

/**
 * How many numbers a head of this kind reads.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` when the output has no features of a known number, or not the shape that is read
 */
export function headWidth({ name, types }: Pick<FeatureModel, 'name' | 'types'>, head: AttachedHead): number {
  const shape = types.get(head.output)?.shape;
  const isTokens = shape?.length === 3;
  const width = shape?.length === 4 ? shape[1] : shape?.at(-1);
  const fits = head.pool === 'all' ? shape?.length === 2 || shape?.length === 4 : isTokens;
  if (fits && typeof width === 'number') return head.pool === 'first-and-mean' ? 2 * width : width;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `A head that reads "${head.output}" (${head.pool}) cannot be attached to "${name}": the output's shape is ${formatShape(shape)}. Name an output of [batch, features], of tokens [batch, tokens, features], or of maps [batch, features, height, width].`,
  );
}

/**
 * The model with a linear layer behind one of its outputs, whose result is the output {@link SCORES}: float32
 * `[batch, outputs]`, or `[batch, tokens, outputs]` where it answers for each token.
 *
 * @throws OnnxLoraError as {@link headWidth}; `MODEL_UNSUPPORTED` where there is an output of that name already
 */
export function appendHead(
  { name, model, types }: FeatureModel,
  head: AttachedHead,
  { weight, bias }: HeadValues,
): FeatureModel['model'] {
  const { graph } = model;
  headWidth({ name, types }, head);
  if (types.has(SCORES)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has a value "${SCORES}" already, so no head is attached to it. Take the model as it is, or export it without its head.`,
    );
  }
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: `head/${head.module}/` });
  const [out, width] = weight.dims as [number, number];
  const features = pooled(g, { name: head.output, ...types.get(head.output) }, head);
  const scope = `/${head.module}`;
  const names = { weight: `head/${head.module}/weight`, bias: `head/${head.module}/bias` };
  const product = `head/${head.module}/product`;
  const shape = types.get(head.output)?.shape;
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

function pooled(g: GraphBuilder, given: Value, { pool, skip }: AttachedHead): Value {
  const x = given.type === 'float32' || given.type === undefined ? given : g.Cast(given, dataTypeNumber('float32'));
  if (pool === 'each') return x;
  if (pool === 'all') return x.shape?.length === 4 ? g.ReduceMean(x, [2, 3], false) : x;
  const first = (): Value => g.Squeeze(g.Slice(x, [0], [1], [1]), [1]);
  const mean = (): Value => g.ReduceMean(skip === 0 ? x : g.Slice(x, [skip], [LAST], [1]), [1], false);
  if (pool === 'first') return first();
  return pool === 'mean' ? mean() : g.Concat([first(), mean()], 1);
}
