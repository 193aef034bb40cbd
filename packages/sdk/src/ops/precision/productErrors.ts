/** @file Measures the error of products: int8 on samples of a float32 run, float16 next to float32. */

import { attributeProto } from '../../graph/attributes.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { indexGraph } from '../../graph/walk.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { withContrib } from '../domains.ts';
import { frozenWeight } from '../frozenWeight.ts';
import { inferNode } from '../infer.ts';
import { opsetOf } from '../inferGraph.ts';
import { dropUnreadInitializers } from '../rewrites/simplify.ts';
import type { FrozenProduct, ProductEmitter } from './frozenProducts.ts';
import { HalfProducts } from './halfProducts.ts';
import { IntegerProducts } from './integerProducts.ts';
import {
  chosenProducts,
  type HalfPrecision,
  type IntegerPrecision,
  type IsBackward,
  productName,
} from './precision.ts';

/** Rows of an input that are compared: the largest, which give a good estimate of the norm. */
const SAMPLED = 32;
/** Stride between compared windows of a convolution: all of them would take more memory than the step. */
const WINDOWS_APART = 8;
/** Most weight elements that one model holds in both forms; a single larger weight is allowed. */
const MOST_WEIGHTS = 16 << 20;

/** A model with the inputs of its products as extra outputs. */
export interface SampledModel {
  readonly model: ModelProto;
  readonly products: ReadonlyMap<NodeProto, FrozenProduct>;
  /** Name of the sample output, float32 `[rows, in]`, by input name. */
  readonly samples: ReadonlyMap<string, string>;
  /** Errors of convolutions, computed in the model itself: their inputs are much larger than their weights. */
  readonly errors: readonly ProductError[];
}

/** The model with samples of the inputs of its int8 products. */
export function withSamples(model: ModelProto, precision: IntegerPrecision, isBackward: IsBackward): SampledModel {
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: 'sample/' });
  const products = new Map(chosenProducts(model, precision, isBackward));
  const samples = new Map<string, string>();
  const integers = new IntegerProducts(opsetOf(model), precision.saturates, 'sample/int8/');
  const errors: ProductError[] = [];
  const { node: nodes = [], initializer = [], output = [] } = model.graph ?? {};
  const node = nodes.flatMap((each) => {
    const product = products.get(each);
    if (product?.windows) {
      products.delete(each);
      const windows = { ...product.windows, stride: WINDOWS_APART * product.windows.stride };
      const others = (each.attribute ?? []).filter(({ name }) => name !== 'strides');
      const few = { ...each, attribute: [...others, attributeProto('strides', [windows.stride])] };
      const error = errorAlone(integers, few, { ...product, windows }, false);
      errors.push(error);
      const x = after(integers.g, product.x, { name: error.output, type: 'float32' });
      return [...integers.g.nodes.splice(0), reading(each, x)];
    }
    if (!product || samples.has(product.x)) return [each];
    const { x, weight, isTransposed } = product;
    const flat = g.Reshape({ name: x, type: 'float32' }, [-1, weight.dims![isTransposed ? 1 : 0]!]);
    const rows = g.emit('Min', [g.ints([SAMPLED]), g.Slice(g.Shape(flat), [0], [1], [0])]);
    const [, largest] = g.emitMany('TopK', [g.ReduceL2(flat, [1], false), rows], 2, { axis: 0 });
    const sample = g.Gather(flat, largest!, 0);
    samples.set(x, sample.name);
    const later = after(g, x, g.Slice(sample, [0, 0], [1, 1], [0, 1]));
    return [...g.nodes.splice(0), reading(each, later)];
  });
  const graph = {
    ...model.graph,
    node,
    initializer: [...initializer, ...g.initializers, ...integers.g.initializers],
    output: [...output, ...[...samples.values(), ...errors.map((each) => each.output)].map((name) => ({ name }))],
  };
  return { model: { ...model, graph, opsetImport: withContrib(model) }, products, samples, errors };
}

/** x, computed after `number`: ONNX Runtime computes outputs last, and would keep their inputs alive. */
function after(g: GraphBuilder, x: string, number: Value): Value {
  const value: Value = { name: x, type: 'float32' };
  const zero = g.Mul(g.Cast(g.emit('IsNaN', [number]), dataTypeNumber('int64')), g.ints([0]));
  return g.Reshape(value, g.Add(g.Shape(value), g.Reshape(zero, [-1])));
}

/** The product reading the same value by another name. */
function reading(node: NodeProto, { name }: Value): NodeProto {
  return { ...node, input: node.input!.with(0, name) };
}

/** Emits a product in both precisions and its error, without the bias, which would hide it. */
function errorAlone(
  emitter: ProductEmitter,
  node: NodeProto,
  product: FrozenProduct,
  isBackward: boolean,
): ProductError {
  const output = `${node.output![0]}/alone`;
  const alone = { ...node, name: `${node.name}/alone`, input: node.input!.slice(0, 2), output: [output] };
  emitter.g.nodes.push(alone);
  const error = errorOf(emitter.g, emitter.emit(product, alone), { name: output, type: 'float32' });
  return { name: productName(product, isBackward), weight: product.weight.name!, output: error.name };
}

function errorOf(g: GraphBuilder, found: Value, exact: Value): Value {
  const norm = (value: Value): Value => g.emit('ReduceL2', [value], { keepdims: 0 });
  // Zeros have no error.
  return g.Div(norm(g.Sub(found, exact)), g.Max(norm(exact), g.scalar(1e-30)));
}

/** A model with the errors of its products as outputs. */
export interface ErrorModel {
  readonly model: ModelProto;
  readonly errors: readonly ProductError[];
}

/** Error of a product in a precision. */
export interface ProductError {
  /** Name for `inFloat32` of the precision. */
  readonly name: string;
  readonly weight: string;
  /** Name of the error output, `[]`: the relative error in the Euclidean norm. */
  readonly output: string;
}

/** Models for all sampled products, a few each; inputs are the samples by output name. */
export function* errorModels(
  { model, products, samples }: SampledModel,
  precision: IntegerPrecision,
  isBackward: IsBackward,
): Generator<ErrorModel, void> {
  let some: [NodeProto, FrozenProduct][] = [];
  let size = 0;
  const next = (): ErrorModel => errorModel(model, some, samples, precision, isBackward);
  for (const each of products) {
    const own = sizeOf(each[1].weight.dims!);
    if (some.length > 0 && size + own > MOST_WEIGHTS) {
      yield next();
      [some, size] = [[], 0];
    }
    some.push(each);
    size += own;
  }
  if (some.length > 0) yield next();
}

function errorModel(
  model: ModelProto,
  products: readonly (readonly [NodeProto, FrozenProduct])[],
  samples: ReadonlyMap<string, string>,
  precision: IntegerPrecision,
  isBackward: IsBackward,
): ErrorModel {
  const index = indexGraph(model.graph ?? {});
  const integers = new IntegerProducts(opsetOf(model), precision.saturates);
  const { g } = integers;
  const errors: ProductError[] = [];
  const before = new Map<string, NodeProto>();
  const inputs = new Map<string, number>();
  for (const [node, product] of products) {
    const x = samples.get(product.x)!;
    const factor = node.input![1]!;
    for (const each of frozenWeight(factor, index)?.chain ?? []) before.set(each.output![0]!, each);
    inputs.set(x, product.weight.dims![product.isTransposed ? 1 : 0]!);
    const output = `${node.output![0]}/exact`;
    g.nodes.push({ ...node, input: [x, factor], output: [output] });
    const found = integers.emit({ ...product, x, isFlat: true });
    const error = errorOf(g, found, { name: output, type: 'float32' });
    errors.push({ name: productName(product, isBackward(node)), weight: product.weight.name!, output: error.name });
  }
  const graph = dropUnreadInitializers({
    ...model.graph,
    node: [...before.values(), ...g.nodes],
    initializer: [...(model.graph?.initializer ?? []), ...g.initializers],
    input: [...inputs].map(([name, columns]) => valueInfo(name, 'float32', ['rows', columns])),
    output: errors.map(({ output }) => ({ name: output })),
    valueInfo: [],
  });
  return { model: { ...model, graph, opsetImport: withContrib(model) }, errors };
}

/** The model with the errors of its products as outputs; NaN or infinite on overflow. */
export function withHalfErrors(model: ModelProto, precision: HalfPrecision, isBackward: IsBackward): ErrorModel {
  const emitter = new HalfProducts(model.graph ?? {}, opsetOf(model));
  const { g } = emitter;
  const errors = [...chosenProducts(model, precision, isBackward)].map(([node, product]) =>
    errorAlone(emitter, node, product, isBackward(node)),
  );
  const { node = [], initializer = [], output = [] } = model.graph ?? {};
  const graph = {
    ...model.graph,
    node: [...node, ...g.nodes],
    initializer: [...initializer, ...g.initializers],
    output: [...output, ...errors.map(({ output: name }) => ({ name }))],
  };
  return { model: { ...model, graph }, errors };
}
