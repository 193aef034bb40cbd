/** @file Finds products with frozen weights, including 1-D convolutions, that another precision can compute. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { type GraphIndex, indexGraph } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { CONTRIB, isStandard } from '../domains.ts';
import { frozenWeight } from '../frozenWeight.ts';
import { attributeOf } from '../schema.ts';
import { kernelMatrix, type Windows, windowsOf } from './convolutions.ts';

/** Smallest weight that gains: below it, rounding the input takes longer than the product saves. */
export const SMALLEST: number = 32_768;

/** `x · weight + addend`, with the weight transposed or not. */
export interface FrozenProduct {
  readonly x: string;
  readonly weight: TensorProto;
  readonly isTransposed: boolean;
  /** Whether x is known to be a matrix. */
  readonly isFlat: boolean;
  /** Name of the addend, of any shape that broadcasts. */
  readonly addend: string | undefined;
  /** Set for a convolution: x is `[batch, channels, length]`, the result `[batch, out, windows]`. */
  readonly windows?: Windows | undefined;
}

/** Emits products in another precision than float32. */
export interface ProductEmitter {
  readonly g: GraphBuilder;
  /** The product as float32, without its addend. */
  emit(product: FrozenProduct, node: NodeProto): Value;
  /** The sum of several flat products with weights transposed alike, as one product where that is cheaper. */
  emitSum?(products: readonly FrozenProduct[]): Value;
}

/** The products by node in graph order, with weights of `smallest` elements or more. */
export function frozenProducts(
  graph: GraphProto,
  smallest: number = SMALLEST,
  also: { readonly convolutions?: boolean } = {},
): ReadonlyMap<NodeProto, FrozenProduct> {
  const index = indexGraph(graph);
  const found = new Map<NodeProto, FrozenProduct>();
  for (const node of graph.node ?? []) {
    const product = frozenProduct(node, index) ?? (also.convolutions ? frozenConvolution(node, index) : undefined);
    if (product && sizeOf(product.weight.dims!) >= smallest) found.set(node, product);
  }
  return found;
}

function frozenProduct(node: NodeProto, index: GraphIndex): FrozenProduct | undefined {
  const { opType, domain, input: [x = '', factor = '', addend] = [] } = node;
  const isFused = opType === 'FusedMatMul' && domain === CONTRIB;
  const isGemm = opType === 'Gemm' && isStandard(domain);
  const isMatMul = opType === 'MatMul' && isStandard(domain);
  if (!isFused && !isGemm && !isMatMul) return undefined;
  if (!isMatMul && (attributeOf(node, 'transA') !== 0 || attributeOf(node, 'alpha') !== 1)) return undefined;
  if (isGemm && addend && attributeOf(node, 'beta') !== 1) return undefined;
  if (isFused && (attributeOf(node, 'transBatchA') !== 0 || attributeOf(node, 'transBatchB') !== 0)) return undefined;
  const matrix = frozenWeight(factor, index);
  if (matrix?.weight.dims!.length !== 2 || index.constants.has(x)) return undefined;
  const isTransposed = !isMatMul && attributeOf(node, 'transB') === 1;
  const isTurned = matrix.isTransposed !== isTransposed;
  return { x, weight: matrix.weight, isTransposed: isTurned, isFlat: isGemm, addend: addend || undefined };
}

function frozenConvolution(
  { domain, input: [x = '', factor = '', bias] = [], ...node }: NodeProto,
  index: GraphIndex,
): FrozenProduct | undefined {
  const isConvolution = node.opType === 'Conv' && isStandard(domain) && !index.constants.has(x);
  const weight = isConvolution ? frozenWeight(factor, index)?.weight : undefined;
  if (weight?.dims?.length !== 3) return undefined;
  const windows = windowsOf(node, weight);
  if (!windows) return undefined;
  return { x, weight: kernelMatrix(weight), isTransposed: true, isFlat: false, addend: bias || undefined, windows };
}
