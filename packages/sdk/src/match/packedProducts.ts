/** @file Unpacks products that an optimizer has joined, such as queries, keys and values: one MatMul and a Split. */

import type { NodeProto, TensorProto } from '../graph/proto.ts';
import { tensorProto } from '../graph/tensorData.ts';
import { type GraphIndex } from '../graph/walk.ts';
import { attributeOf, splitSizes } from '../ops/schema.ts';
import { int64 } from '../runtime/tensor.ts';
import { pathFromNodeName, pathFromParameter, pathFromScopes } from './modulePath.ts';
import { constantWeight, intsOf } from './weights/index.ts';

/** A joined product and its parts. */
export interface PackedProduct {
  readonly packed: readonly [product: NodeProto, split: NodeProto];
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
}

/**
 * Replaces a joined MatMul by one product per output of the Split, each with a Slice of the packed weight. A MatMul
 * with a module's name, such as torch's `qkv`, stays whole.
 * @param opset version of the standard operator set
 * @param prefix of new names
 * @param rankOf rank of a value, if known
 */
export function unpackProduct(
  node: NodeProto,
  index: GraphIndex,
  {
    opset,
    prefix,
    rankOf,
  }: {
    readonly opset: number;
    readonly prefix: string;
    readonly rankOf: (value: string) => number | undefined;
  },
): PackedProduct | undefined {
  const [x, weight] = node.input ?? [];
  if (node.opType !== 'MatMul' || node.domain || opset < 10) return undefined;
  const stored = constantWeight(weight, index);
  // A weight in 16 bits has its name before the cast.
  if (hasPath(node, stored?.tensors[0].name)) return undefined;
  const product = node.output![0]!;
  const [use, ...others] = index.uses.get(product) ?? [];
  if (stored?.dims.length !== 2 || use?.node.opType !== 'Split' || others.length > 0 || index.outputs.has(product))
    return undefined;
  const split = use.node;
  const axis = attributeOf(split, 'axis');
  if (axis !== -1 && axis + 1 !== rankOf(product)) return undefined;
  const [, width] = stored.dims as [number, number];
  const sizes = sizesOf(split, width, index);
  if (!sizes) return undefined;
  const bound = (name: string, at: number): TensorProto => tensorProto(`${prefix}${name}`, int64([at], [1]));
  const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0));
  const parts = split.output!.flatMap((output, i): readonly NodeProto[] => {
    if (!output) return [];
    const [start, end] = [i === 0 ? 'bound_0' : `bound_${i}`, `bound_${i + 1}`].map((name) => `${prefix}${name}`);
    const own = `${prefix}${i}.weight`;
    return [
      { opType: 'Slice', name: own, input: [weight!, start!, end!, `${prefix}axis`], output: [own] },
      { opType: 'MatMul', name: `${prefix}${i}`, input: [x!, own], output: [output] },
    ];
  });
  return {
    packed: [node, split],
    nodes: parts,
    initializers: [bound('axis', 1), ...[0, ...ends].map((at, i) => bound(`bound_${i}`, at))],
  };
}

function hasPath(node: NodeProto, weight = ''): boolean {
  return (pathFromScopes(node) ?? pathFromNodeName(node.name) ?? pathFromParameter(weight, 'weight')) !== undefined;
}

/** Sizes of a Split's outputs: an attribute before opset 13, then an input, and `num_outputs` since 18. */
function sizesOf(split: NodeProto, width: number, index: GraphIndex): readonly number[] | undefined {
  const sizes = splitSizes(split, width, intsOf(split.input?.[1], index));
  if (!sizes?.every((size) => typeof size === 'number')) return undefined;
  const isWhole = sizes.length === split.output?.length && sizes.every((size) => Number.isInteger(size) && size > 0);
  return isWhole && sizes.reduce((sum, size) => sum + size, 0) === width ? sizes : undefined;
}
