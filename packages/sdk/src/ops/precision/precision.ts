/** @file The numbers in which a frozen base computes: what a user calls them, and the graph that does. */

import { OnnxLoraError } from '../../errors.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import { withContrib } from '../domains.ts';
import { opsetOf } from '../inferGraph.ts';
import { type FrozenProduct, frozenProducts, SMALLEST } from './frozenProducts.ts';
import { IntegerProducts, withIntegerProducts } from './integerProducts.ts';

/**
 * In what a frozen base computes: `float32` as the file has it; `int8` its products with weights in integers of eight bits,
 * forward and backward; `int8-backward` only those of the gradients, so that losses and answers are those of float32.
 */
export type PrecisionName = 'float32' | 'int8' | 'int8-backward';

/** All names, the default first. */
export const precisionNames: readonly PrecisionName[] = ['float32', 'int8', 'int8-backward'];

/** A precision below float32, as it is computed on one machine. */
export interface BasePrecision {
  /** What it is called. */
  readonly name: Exclude<PrecisionName, 'float32'>;
  /** Whether products of two neighbours are added in 16 bits, as x86 processors without VNNI do; then weights are rounded to fit. */
  readonly saturates: boolean;
  /** Numbers that a weight must have; 32,768 by default, since smaller products gain nothing. */
  readonly smallest?: number | undefined;
  /**
   * Products that stay in float32: `forward head`, `backward head` for those of gradients. Of a model and in notes by their
   * modules, in a graph by the names of their weights.
   */
  readonly inFloat32?: readonly string[] | undefined;
}

/** A precision as a user asks for it; what is not said of the processor is measured. */
export type PrecisionChoice = PrecisionName | (Partial<BasePrecision> & Pick<BasePrecision, 'name'>);

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
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for one without products that could be of integers
 */
export function requirePrecision(
  model: ModelProto,
  { name: precision, smallest = SMALLEST }: BasePrecision,
  name: string,
): void {
  const opset = opsetOf(model);
  if (opset < FIRST_OPSET) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has opset ${opset}, which cannot round values as precision "${precision}" needs. Export it with opset ${FIRST_OPSET} or later, or leave precision out.`,
    );
  }
  if (frozenProducts(model.graph ?? {}, smallest).size > 0) return;
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
  precision: BasePrecision | undefined,
  options: Options,
): Options {
  if (!precision) return options;
  const { provider = 'auto' } = options;
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
  const integers = new IntegerProducts(opsetOf(model), precision.saturates);
  const products = chosenProducts(model, precision, isBackward);
  const graph = yield* withIntegerProducts(model.graph ?? {}, integers, products);
  return { ...model, graph, opsetImport: withContrib(model) };
}

/** The products of a graph that a precision computes in integers, by their nodes. */
export function chosenProducts(
  { graph = {} }: ModelProto,
  { name, smallest, inFloat32 }: BasePrecision,
  isBackward: IsBackward,
): ReadonlyMap<NodeProto, FrozenProduct> {
  const exact = new Set(inFloat32);
  const isChosen = (node: NodeProto, product: FrozenProduct): boolean => {
    const isBack = isBackward(node);
    return (isBack || name === 'int8') && !exact.has(productName(product, isBack));
  };
  return new Map([...frozenProducts(graph, smallest)].filter((each) => isChosen(...each)));
}
