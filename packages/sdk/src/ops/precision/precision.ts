/** @file The precision of a frozen base, and the graph that computes in it. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import { providerNames } from '../../runtime/providers/providers.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import { withContrib } from '../domains.ts';
import { opsetOf } from '../inferGraph.ts';
import { type FrozenProduct, frozenProducts, type ProductEmitter, SMALLEST } from './frozenProducts.ts';
import { fitsHalf, HalfProducts, halfProducts } from './halfProducts.ts';
import { IntegerProducts, withProducts } from './integerProducts.ts';

/**
 * Precision of a frozen base. `float32`: as in the file. `int8`: products with frozen weights in int8, forward and
 * backward. `int8-backward`: only those of gradients, so that losses and outputs stay those of float32. `float16`:
 * products in half precision, on a GPU. `int4` and `nf4`: 4-bit weights computed in float32, to save memory.
 * `bfloat16`: the whole graph, by an engine that has such arithmetic, such as OpenVINO.
 */
export type PrecisionName = 'float32' | 'int8' | 'int8-backward' | 'float16' | 'bfloat16' | 'int4' | 'nf4';

/** All names, the default first. */
export const precisionNames: readonly PrecisionName[] = ['float32', 'int8', 'int8-backward', 'float16', 'bfloat16', 'int4', 'nf4']; // prettier-ignore

interface ProductChoice {
  /**
   * Fewest elements of a weight; default 32,768, since smaller products gain nothing, or 1 for a model without any as
   * large.
   */
  readonly smallest?: number | undefined;
  /** Float32 products: `forward head`, or `backward head` for gradients; by module, in a graph by weight name. */
  readonly inFloat32?: readonly string[] | undefined;
}

/** Int8 products on one machine. */
export interface IntegerPrecision extends ProductChoice {
  /** Name of the precision. */
  readonly name: 'int8' | 'int8-backward';
  /** Whether pairs of products are added in 16 bits, as on x86 without VNNI; weights are then rounded to fit. */
  readonly saturates: boolean;
}

/** Float16 products. */
export interface HalfPrecision extends ProductChoice {
  /** Name of the precision. */
  readonly name: 'float16';
}

/** The engine's own arithmetic: the graph stays as it is. */
export interface EnginePrecision extends Pick<ProductChoice, 'inFloat32'> {
  /** Name of the precision. */
  readonly name: 'bfloat16';
}

/** 4-bit weights, as `quantize` writes them: blockwise integers with a scale and zero point, or QLoRA's NF4. */
export interface WeightPrecision {
  /** Name of the precision. */
  readonly name: 'int4' | 'nf4';
  /** Block size, a power of two from 16; default 32, and 64 for `nf4`. */
  readonly blockSize?: number | undefined;
  /** Fewest elements of a weight; default 4,096. */
  readonly smallest?: number | undefined;
}

/** A precision below float32 on one machine. */
export type BasePrecision = ProductPrecision | EnginePrecision;

/** A precision of chosen products, by rewriting the graph. */
export type ProductPrecision = IntegerPrecision | HalfPrecision;

/** The precision that a user requests; missing facts about the processor are measured. */
export type PrecisionChoice =
  | PrecisionName
  | HalfPrecision
  | EnginePrecision
  | WeightPrecision
  | (Partial<IntegerPrecision> & Pick<IntegerPrecision, 'name'>);

/** Whether a precision only quantizes weights. */
export function isWeightPrecision(asked: { readonly name: PrecisionName }): asked is WeightPrecision {
  return asked.name === 'int4' || asked.name === 'nf4';
}

/** Whether a precision rewrites products; an engine's own does not. */
export function isProductPrecision(precision: BasePrecision): precision is ProductPrecision {
  return precision.name !== 'bfloat16';
}

/** Whether a node belongs to the backward pass. */
export type IsBackward = (node: NodeProto) => boolean;

/** Name of a product: direction and weight. */
export function productName({ weight }: FrozenProduct, isBackward: boolean): string {
  return `${isBackward ? 'backward' : 'forward'} ${weight.name}`;
}

const FIRST_OPSET = 11;

/**
 * The precision of a model: all products, where none has a weight of the default size.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` naming the model, if no product could use it
 */
export function precisionOf(model: ModelProto, asked: BasePrecision, name: string): BasePrecision {
  if (!isProductPrecision(asked)) return asked;
  const { name: precision, smallest } = asked;
  const opset = opsetOf(model);
  if (precision !== 'float16' && opset < FIRST_OPSET) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has opset ${opset}, which cannot round values as precision "${precision}" needs. Export it with opset ${FIRST_OPSET} or later, or leave precision out.`,
    );
  }
  if (productsIn(asked, model.graph).size > 0) return asked;
  const all = { ...asked, smallest: 1 };
  if (smallest === undefined && productsIn(all, model.graph).size > 0) return all;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" has no product with a float32 weight${smallest === undefined ? '' : ` of at least ${smallest} numbers`}, so that precision "${precision}" would change nothing. Take the file in float32, or leave precision out.`,
  );
}

/**
 * Session options for a precision.
 * @throws OnnxLoraError `CONFIG_INVALID` for a provider without such products or arithmetic
 */
export function sessionIn<Options extends Pick<SessionOptions, 'provider' | 'arithmetic'>>(
  precision: { readonly name: PrecisionName } | undefined,
  options: Options,
): Options {
  if (!precision || precision.name === 'float32' || isWeightPrecision(precision)) return options;
  const { provider = 'auto' } = options;
  if (precision.name === 'bfloat16') {
    if (!providerNames.includes(provider)) return { ...options, arithmetic: 'bfloat16' };
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `precision "bfloat16" needs an engine with such arithmetic, but the provider is "${provider}", and ONNX Runtime has none. Name the provider "openvino" of @onnx-lora/openvino, or leave precision out.`,
    );
  }
  if (precision.name === 'float16') {
    if (provider !== 'auto' && provider !== 'cpu') return options;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `precision "float16" computes on a GPU, but the provider is "${provider}". On the CPU it is no faster than float32, and takes no less memory. Name the provider of a GPU, such as "webgpu" or "cuda", or leave precision out.`,
    );
  }
  if (provider === 'auto' || provider === 'cpu') return { ...options, provider: 'cpu' };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `precision "${precision.name}" computes on the CPU, but the provider is "${provider}". Leave one of the two out.`,
  );
}

/** The model with its products in this precision; yields after each. */
export function* inPrecision(
  model: ModelProto,
  precision: BasePrecision | undefined,
  isBackward: IsBackward = () => false,
): Generator<void, ModelProto> {
  if (!precision || !isProductPrecision(precision)) return model;
  const chosen = chosenProducts(model, precision, isBackward);
  // Weights that overflow float16 are only found when a batch is measured.
  const fitting = [...chosen].filter(([, { weight }]) => precision.name !== 'float16' || fitsHalf(weight));
  const graph = yield* withProducts(model.graph ?? {}, emitterOf(model, precision), new Map(fitting));
  return { ...model, graph, opsetImport: withContrib(model) };
}

function emitterOf(model: ModelProto, precision: ProductPrecision): ProductEmitter {
  if (precision.name === 'float16') return new HalfProducts(model.graph ?? {}, opsetOf(model));
  return new IntegerProducts(opsetOf(model), precision.saturates);
}

function productsIn(
  { name, smallest = SMALLEST }: ProductPrecision,
  graph: GraphProto = {},
): ReadonlyMap<NodeProto, FrozenProduct> {
  if (name === 'float16') return halfProducts(graph, smallest);
  return frozenProducts(graph, smallest, { convolutions: true });
}

/** The products that a precision computes, by node. */
export function chosenProducts(
  { graph }: ModelProto,
  precision: ProductPrecision,
  isBackward: IsBackward,
): ReadonlyMap<NodeProto, FrozenProduct> {
  const exact = new Set(precision.inFloat32);
  const isChosen = (node: NodeProto, product: FrozenProduct): boolean => {
    const isBack = isBackward(node);
    // Whole examples are rounded, but rows of gradients vary widely in size.
    if (isBack && product.windows) return false;
    return (isBack || precision.name !== 'int8-backward') && !exact.has(productName(product, isBack));
  };
  return new Map([...productsIn(precision, graph)].filter((each) => isChosen(...each)));
}
