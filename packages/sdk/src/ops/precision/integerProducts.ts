/**
 * @file Products with frozen weights in integers of eight bits, forward and backward, as SwitchBack computes them
 * (https://arxiv.org/abs/2304.13013): what is multiplied is rounded anew at each run, each row by its own largest magnitude.
 * Rows of gradients, and of tokens on which models put large values, are of very different sizes: by one scale for all, small
 * ones would be rounded to nothing.
 */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { dropUnreadInitializers, reachable } from '../rewrites/simplify.ts';
import type { FrozenProduct, ProductEmitter } from './frozenProducts.ts';
import { integerWeight } from './integerWeight.ts';

/** Emits products in integers. */
export class IntegerProducts implements ProductEmitter {
  readonly g: GraphBuilder;
  readonly #saturates: boolean;
  readonly #weights = new Set<TensorProto>();
  /** Several products read one value, such as queries, keys and values; it is rounded once. */
  readonly #rounded = new Map<string, Rounded>();

  /**
   * @param opset of the graph that they are put into
   * @param saturates whether products of two neighbours are added in 16 bits
   */
  constructor(opset: number, saturates: boolean) {
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: 'int8/' });
    this.#saturates = saturates;
  }

  /** The product without what is added to it. */
  emit(product: FrozenProduct): Value {
    const { g } = this;
    const { x, weight, isTransposed, isFlat } = product;
    const [inside, columns] = isTransposed ? weight.dims!.toReversed() : weight.dims!;
    const { integers, rows, leading } = this.#rounded.get(x) ?? rounded(g, { name: x, type: 'float32' }, inside!);
    this.#rounded.set(x, { integers, rows, leading });
    const [values, scales] = this.#weight(product);
    const inSteps = [integers, values, g.scalar(1), scales, g.constant(ZERO)];
    const y = g.Mul(g.emit('MatMulIntegerToFloat', inSteps, {}, CONTRIB), rows);
    return isFlat ? y : g.Reshape(y, g.Concat([leading, g.ints([columns!])], 0));
  }

  #weight({ weight, isTransposed }: FrozenProduct): readonly [values: Value, scales: Value] {
    const { values, scales } = integerWeight(weight, isTransposed, this.#saturates);
    if (!this.#weights.has(values)) this.g.initializers.push(values, scales);
    this.#weights.add(values);
    return [
      { name: values.name!, type: 'int8', shape: values.dims },
      { name: scales.name!, type: 'float32', shape: scales.dims },
    ];
  }
}

/**
 * The graph with these products in other numbers; may be interrupted after each.
 */
export function* withProducts(
  graph: GraphProto,
  emitter: ProductEmitter,
  products: ReadonlyMap<NodeProto, FrozenProduct>,
): Generator<void, GraphProto> {
  const { g } = emitter;
  const node: NodeProto[] = [];
  for (const each of graph.node ?? []) {
    const product = products.get(each);
    if (!product) {
      node.push(each);
      continue;
    }
    const y = emitter.emit(product, each);
    if (product.addend !== undefined) g.Add(y, { name: product.addend, type: 'float32' });
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

/** What stands for `(integers − ZERO) · rows`, with all axes but the last in one. */
interface Rounded {
  /** uint8 `[rows, in]`. */
  readonly integers: Value;
  /** What a step of each row is, `[rows, 1]`. */
  readonly rows: Value;
  /** All axes but the last: int64 `[rank - 1]`. */
  readonly leading: Value;
}

const STEPS = 127;
const ZERO: Tensor = { type: 'uint8', dims: [], data: Uint8Array.of(128) };
/** The first opset whose QuantizeLinear has a scale for each row. */
const SCALED_ROWS = 13;

/** Each row of x `[…, inside]` in steps of its largest magnitude, as integers of eight bits. What a row becomes depends on no other. */
function rounded(g: GraphBuilder, x: Value, inside: number): Rounded {
  const flat = g.Reshape(x, [-1, inside]);
  const leading = g.Slice(g.Shape(x), [0], [-1], [0]);
  const extremes = [g.ReduceMax(flat, [-1], false), g.Neg(g.ReduceMin(flat, [-1], false))];
  // Not exactly zero, so that rows of zeros stay zeros.
  const steps = g.Mul(g.emit('Max', [...extremes, g.scalar(1e-30)]), g.scalar(1 / STEPS));
  const rows = g.Unsqueeze(steps, [1]);
  const zero = g.constant(ZERO);
  const integers =
    g.opset < SCALED_ROWS
      ? g.emit('QuantizeLinear', [g.Div(flat, rows), g.scalar(1), zero])
      : g.emit('QuantizeLinear', [flat, steps, g.Expand(zero, g.Shape(steps))], { axis: 0 });
  return { integers, rows, leading };
}
