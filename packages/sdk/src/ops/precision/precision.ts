/** @file The numbers in which a frozen base computes: what a user calls them, and the graph that does. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import { withContrib } from '../domains.ts';
import { opsetOf } from '../inferGraph.ts';
import { type FrozenProduct, frozenProducts, type ProductEmitter, SMALLEST } from './frozenProducts.ts';
import { fitsHalf, HalfProducts, halfProducts } from './halfProducts.ts';
import { IntegerProducts, withProducts } from './integerProducts.ts';

/**
 * In what a frozen base computes: `float32` as the file has it; `int8` its products with weights in integers of eight bits,
 * forward and backward; `int8-backward` only those of the gradients, so that losses and answers are those of float32;
 * `float16` its products with weights in half floats, on a GPU; `int4` and `nf4` in float32 with weights that take four bits, for
 * memory.
 */
export type PrecisionName = 'float32' | 'int8' | 'int8-backward' | 'float16' | 'int4' | 'nf4';

/** All names, the default first. */
export const precisionNames: readonly PrecisionName[] = ['float32', 'int8', 'int8-backward', 'float16', 'int4', 'nf4'];

/** Which products of a base are computed in a precision. */
interface ProductChoice {
  /** Numbers that a weight must have; 32,768 by default, since smaller products gain nothing. */
  readonly smallest?: number | undefined;
  /**
   * Products that stay in float32: `forward head`, `backward head` for those of gradients. Of a model and in notes by their
   * modules, in a graph by the names of their weights.
   */
  readonly inFloat32?: readonly string[] | undefined;
}

/** Products in integers, as they are computed on one machine. */
export interface IntegerPrecision extends ProductChoice {
  /** What it is called. */
  readonly name: 'int8' | 'int8-backward';
  /** Whether products of two neighbours are added in 16 bits, as x86 processors without VNNI do; then weights are rounded to fit. */
  readonly saturates: boolean;
}

/** Products in half floats. */
export interface HalfPrecision extends ProductChoice {
  /** What it is called. */
  readonly name: 'float16';
}

/** Weights in four bits, as `quantize` writes them: 16 integers with a step and a zero point for each block, or the 16 numbers of QLoRA. */
export interface FewerBits {
  /** What it is called. */
  readonly name: 'int4' | 'nf4';
  /** Numbers of a block, a power of two of at least 16: 32 by default, and 64 for `nf4`. */
  readonly blockSize?: number | undefined;
  /** Numbers that a weight must have; 4,096 by default. */
  readonly smallest?: number | undefined;
}

/** A precision below float32, as it is computed on one machine. */
export type BasePrecision = IntegerPrecision | HalfPrecision;

/** A precision as a user asks for it; what is not said of the processor is measured. */
export type PrecisionChoice =
  PrecisionName | HalfPrecision | FewerBits | (Partial<IntegerPrecision> & Pick<IntegerPrecision, 'name'>);

/** Whether a precision is one of weights alone, which the graph has in place of those of the file. */
export function isFewerBits(asked: { readonly name: PrecisionName }): asked is FewerBits {
  return asked.name === 'int4' || asked.name === 'nf4';
}

/** Whether a node is one of those that gradients add. */
export type IsBackward = (node: NodeProto) => boolean;

/** What a product is called: by its weight, and whether it is `dy · Wᵀ`. */
export function productName({ weight }: FrozenProduct, isBackward: boolean): string {
  return `${isBackward ? 'backward' : 'forward'} ${weight.name}`;
}

const FIRST_OPSET = 11;

/**
 * Checks that a model can compute in a precision.
 *
 * @param name of the model, for the error
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for one without products that could be in it
 */
export function requirePrecision(model: ModelProto, asked: BasePrecision, name: string): void {
  const { name: precision, smallest = SMALLEST } = asked;
  const opset = opsetOf(model);
  if (precision !== 'float16' && opset < FIRST_OPSET) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has opset ${opset}, which cannot round values as precision "${precision}" needs. Export it with opset ${FIRST_OPSET} or later, or leave precision out.`,
    );
  }
  if (productsIn(asked, model.graph).size > 0) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" has no product with a float32 weight of at least ${smallest} numbers, so that precision "${precision}" would change nothing. Take the file in float32, or leave precision out.`,
  );
}

/**
 * Options of a session that computes in a precision.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a provider without such products
 */
export function sessionIn<Options extends Pick<SessionOptions, 'provider'>>(
  precision: { readonly name: PrecisionName } | undefined,
  options: Options,
): Options {
  if (!precision || precision.name === 'float32' || isFewerBits(precision)) return options;
  const { provider = 'auto' } = options;
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

/** The model with its products in this precision; may be interrupted after each. */
export function* inPrecision(
  model: ModelProto,
  precision: BasePrecision | undefined,
  isBackward: IsBackward = () => false,
): Generator<void, ModelProto> {
  if (!precision) return model;
  const chosen = chosenProducts(model, precision, isBackward);
  // What is infinite in float16 can only have been found where a batch was measured.
  const fitting = [...chosen].filter(([, { weight }]) => precision.name !== 'float16' || fitsHalf(weight));
  const graph = yield* withProducts(model.graph ?? {}, emitterOf(model, precision), new Map(fitting));
  return { ...model, graph, opsetImport: withContrib(model) };
}

function emitterOf(model: ModelProto, precision: BasePrecision): ProductEmitter {
  if (precision.name === 'float16') return new HalfProducts(model.graph ?? {}, opsetOf(model));
  return new IntegerProducts(opsetOf(model), precision.saturates);
}

function productsIn(
  { name, smallest = SMALLEST }: BasePrecision,
  graph: GraphProto = {},
): ReadonlyMap<NodeProto, FrozenProduct> {
  if (name === 'float16') return halfProducts(graph, smallest);
  return frozenProducts(graph, smallest, { convolutions: true });
}

/** The products of a graph that are computed in a precision, by their nodes. */
export function chosenProducts(
  { graph }: ModelProto,
  precision: BasePrecision,
  isBackward: IsBackward,
): ReadonlyMap<NodeProto, FrozenProduct> {
  const exact = new Set(precision.inFloat32);
  const isChosen = (node: NodeProto, product: FrozenProduct): boolean => {
    const isBack = isBackward(node);
    // Examples are rounded as a whole, but rows of gradients are of very different sizes.
    if (isBack && product.windows) return false;
    return (isBack || precision.name !== 'int8-backward') && !exact.has(productName(product, isBack));
  };
  return new Map([...productsIn(precision, graph)].filter((each) => isChosen(...each)));
}
