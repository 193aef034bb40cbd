/** @file Products in int8 as in SwitchBack (https://arxiv.org/abs/2304.13013), inputs quantized per row. */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { CONTRIB, isStandard } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { dropUnreadInitializers, reachable } from '../rewrites/simplify.ts';
import type { FrozenProduct, ProductEmitter } from './frozenProducts.ts';
import { padded, roundedExamples, SCALED_ROWS, im2col, type Windows } from './convolutions.ts';
import { integerWeight } from './integerWeight.ts';
import { indexGraph } from '../../graph/walk.ts';

/** Emits products in integers. */
export class IntegerProducts implements ProductEmitter {
  readonly g: GraphBuilder;
  readonly #saturates: boolean;
  readonly #weights = new Set<TensorProto>();
  /** Quantized inputs, shared by products of one value, such as queries, keys and values. */
  readonly #rounded = new Map<string, Rounded>();

  /** @param saturates whether pairs of products are added in 16 bits */
  constructor(opset: number, saturates: boolean, prefix = 'int8/') {
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix });
    this.#saturates = saturates;
  }

  emit(product: FrozenProduct): Value {
    return product.windows ? this.#convolution(product, product.windows) : this.emitSum([product]);
  }

  /** Per example, since ranges per window would read and write the windows in float32. */
  #convolution(product: FrozenProduct, windows: Windows): Value {
    const { g } = this;
    const weight = this.#weight([product], product.isTransposed);
    const { integers, steps, zeros } = roundedExamples(g, padded(g, { name: product.x, type: 'float32' }, windows));
    const ones = new Uint8Array(weight[0].shape![0] as number).fill(1);
    // (integers − zeros) · W = integers · W − zeros · (1 · W)
    const sums = this.#product(g.constant({ type: 'uint8', dims: [1, ones.length], data: ones }), weight, 0);
    const y = g.Sub(this.#product(im2col(g, integers, windows), weight, 0), g.Mul(zeros, sums));
    return g.Transpose(g.Mul(y, steps), [0, 2, 1]);
  }

  /** `(integers − zero) · weight` in float32. */
  #product(integers: Value, [values, scales]: readonly [Value, Value], zero: number): Value {
    const { g } = this;
    const inputs = [integers, values, g.scalar(1), scales, g.scalar(zero, 'uint8')];
    return g.emit('MatMulIntegerToFloat', inputs, {}, CONTRIB);
  }

  /** One product of concatenated inputs, rounded by the largest magnitude of all: small inputs lose precision. */
  emitSum(products: readonly FrozenProduct[]): Value {
    const { g } = this;
    const [{ isTransposed, isFlat }] = products as [FrozenProduct];
    const xs = products.map(({ x }): Value => ({ name: x, type: 'float32' }));
    const key = xs.map(({ name }) => name).join(' ');
    const weight = this.#weight(products, isTransposed);
    const [inside, columns] = weight[0].shape as [number, number];
    const found = this.#rounded.get(key) ?? rounded(g, xs.length === 1 ? xs[0]! : g.Concat(xs, 1), inside, isFlat);
    this.#rounded.set(key, found);
    const y = g.Mul(this.#product(found.integers, weight, ZERO), found.rows);
    return isFlat ? y : g.Reshape(y, g.Concat([found.leading, g.ints([columns])], 0));
  }

  #weight(products: readonly FrozenProduct[], isTransposed: boolean): readonly [values: Value, scales: Value] {
    const weights = products.map(({ weight }) => weight) as [TensorProto, ...TensorProto[]];
    const { values, scales } = integerWeight(weights, isTransposed, this.#saturates);
    if (!this.#weights.has(values)) this.g.initializers.push(values, scales);
    this.#weights.add(values);
    return [
      { name: values.name!, type: 'int8', shape: values.dims },
      { name: scales.name!, type: 'float32', shape: scales.dims },
    ];
  }
}

/** The graph with these products in another precision; yields after each. */
export function* withProducts(
  graph: GraphProto,
  emitter: ProductEmitter,
  products: ReadonlyMap<NodeProto, FrozenProduct>,
): Generator<void, GraphProto> {
  const { g } = emitter;
  const node: NodeProto[] = [];
  const sums = emitter.emitSum && productSums(graph, products);
  for (const each of graph.node ?? []) {
    const product = products.get(each);
    if (!product) {
      node.push(each);
      continue;
    }
    const sum = sums
      ? sums.get(each)
      : { products: [product], rest: product.addend === undefined ? [] : [{ name: product.addend }] };
    if (!sum) continue;
    let y = sum.products.length > 1 ? emitter.emitSum!(sum.products) : emitter.emit(product, each);
    for (const { name, shape } of sum.rest) {
      const addend: Value = { name, type: 'float32' };
      if (product.windows) y = g.Add(y, g.Unsqueeze(addend, [1]));
      else y = g.Add(y, shape === undefined ? addend : g.Reshape(addend, { name: shape, type: 'int64' }));
    }
    g.nodes.at(-1)!.output = [each.output![0]!];
    node.push(...g.nodes.splice(0));
    yield;
  }
  const outputs = (graph.output ?? []).map(({ name = '' }) => name);
  return dropUnreadInitializers({
    ...graph,
    node: reachable(node, outputs),
    initializer: [...(graph.initializer ?? []), ...g.initializers],
  });
}

/** `(integers − ZERO) · rows`, flattened to two axes. */
interface Rounded {
  /** uint8 `[rows, in]`. */
  readonly integers: Value;
  /** Scale of each row, `[rows, 1]`. */
  readonly rows: Value;
  /** Leading dimensions: int64 `[rank - 1]`. */
  readonly leading: Value;
}

const STEPS = 127;
const ZERO = 128;

/** Quantizes each row of x `[…, inside]` to uint8 by its largest magnitude. */
function rounded(g: GraphBuilder, x: Value, inside: number, isFlat: boolean): Rounded {
  const flat = isFlat ? x : g.Reshape(x, [-1, inside]);
  const leading = g.Slice(g.Shape(x), [0], [-1], [0]);
  const extremes = [g.ReduceMax(flat, [-1], false), g.Neg(g.ReduceMin(flat, [-1], false))];
  // Avoids division by zero for rows of zeros.
  const steps = g.Mul(g.emit('Max', [...extremes, g.scalar(1e-30)]), g.scalar(1 / STEPS));
  const rows = g.Unsqueeze(steps, [1]);
  const zero = g.scalar(ZERO, 'uint8');
  const integers =
    g.opset < SCALED_ROWS
      ? g.emit('QuantizeLinear', [g.Div(flat, rows), g.scalar(1), zero])
      : g.emit('QuantizeLinear', [flat, steps, g.Expand(zero, g.Shape(steps))], { axis: 0 });
  return { integers, rows, leading };
}

/** A sum of products and other addends. */
export interface ProductSum {
  readonly products: readonly FrozenProduct[];
  /** Other addends, and the shape to reshape each to first. */
  readonly rest: readonly { readonly name: string; readonly shape?: string }[];
}

/** The sums by their last node, without those that are part of another. */
function productSums(
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
