/** @file Merges sums of products: `dq·Wqᵀ + dk·Wkᵀ + dv·Wvᵀ` is one product, `[dq, dk, dv] · [Wq, Wk, Wv]ᵀ`. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { indexGraph } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';
import type { FrozenProduct } from './frozenProducts.ts';

/** A sum of products and other addends. */
export interface ProductSum {
  readonly products: readonly FrozenProduct[];
  /** Other addends, and the shape to reshape each to first. */
  readonly rest: readonly { readonly name: string; readonly shape?: string }[];
}

/** The sums by their last node, without those that are part of another. */
export function productSums(
  graph: GraphProto,
  products: ReadonlyMap<NodeProto, FrozenProduct>,
): ReadonlyMap<NodeProto, ProductSum> {
  const { producer, uses, outputs } = indexGraph(graph);
  const inner = (name: string, opType: string): NodeProto | undefined => {
    const node = producer.get(name);
    const isOwn = uses.get(name)?.length === 1 && !outputs.has(name);
    return isOwn && node?.opType === opType && isStandard(node.domain) ? node : undefined;
  };
  const taken = new Set<NodeProto>();
  const sums = new Map<NodeProto, ProductSum>();
  // In reverse, since later sums contain earlier ones.
  for (const [node, product] of [...products].reverse()) {
    if (taken.has(node)) continue;
    const parts = [product];
    const rest: { readonly name: string; readonly shape?: string }[] = [];
    const partIn = (name: string): NodeProto | undefined => {
      const made = inner(name, 'Gemm');
      const other = made && products.get(made);
      return other && isLike(other, product) ? made : undefined;
    };
    let { addend } = product;
    while (addend !== undefined) {
      const direct = partIn(addend);
      const reshape = direct ? undefined : inner(addend, 'Reshape');
      const terms = (reshape && inner(reshape.input![0]!, 'Add')?.input) ?? [];
      const behind = terms.map((name) => partIn(inner(name, 'Reshape')?.input![0] ?? name));
      const at = behind.findIndex((each) => each !== undefined);
      const found = direct ?? behind[at];
      if (!found) rest.push({ name: addend });
      else {
        taken.add(found);
        parts.push(products.get(found)!);
        if (!direct) rest.push({ name: terms[1 - at]!, shape: reshape!.input![1]! });
      }
      addend = found && products.get(found)!.addend;
    }
    sums.set(node, { products: parts, rest });
  }
  return sums;
}

/** Whether products can be merged: flat, with weights transposed alike and of the same output size. */
function isLike(one: FrozenProduct, other: FrozenProduct): boolean {
  const [a, b] = [one, other].map(({ weight, isTransposed }) => weight.dims![isTransposed ? 0 : 1]);
  return one.isFlat && other.isFlat && one.isTransposed === other.isTransposed && a === b;
}
