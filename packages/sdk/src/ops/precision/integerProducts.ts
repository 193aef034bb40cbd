/**
 * @file Products with frozen weights in integers of eight bits, forward and backward, as SwitchBack computes them
 * (https://arxiv.org/abs/2304.13013): what is multiplied is rounded anew at each run, each row by its own largest magnitude.
 * Rows of gradients, and of tokens on which models put large values, are of very different sizes: by one scale for all, small
 * ones would be rounded to nothing.
 */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { dropUnreadInitializers, reachable } from '../rewrites/simplify.ts';
import type { FrozenProduct } from './frozenProducts.ts';
import { integerWeight, type WeightBits } from './integerWeight.ts';

/** Emits products in integers. */
export class IntegerProducts {
  readonly g: GraphBuilder;
  readonly #bits: WeightBits;
  readonly #weights = new Map<string, readonly [values: Value, scales: Value]>();
  /** Several products read one value, such as queries, keys and values; it is rounded once. */
  readonly #rounded = new Map<string, Rounded>();

  /** @param opset of the graph that they are put into */
  constructor(opset: number, bits: WeightBits) {
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: 'int8/' });
    this.#bits = bits;
  }

  /** The product without what is added to it. */
  emit(product: FrozenProduct): Value {
    const { x } = product;
    const { integers, rows } = this.#rounded.get(x) ?? rounded(this.g, { name: x, type: 'float32' });
    this.#rounded.set(x, { integers, rows });
    const [values, scales] = this.#weight(product);
    const [scale, zeroPoint] = scaleOf(this.g);
    return this.g.Mul(
      this.g.emit('MatMulIntegerToFloat', [integers, values, scale, scales, zeroPoint], {}, CONTRIB),
      rows,
    );
  }

  #weight({ weight, isTransposed }: FrozenProduct): readonly [values: Value, scales: Value] {
    const name = `int8/weights/${weight.name}${isTransposed ? '/transposed' : ''}`;
    const known = this.#weights.get(name);
    if (known) return known;
    const { values, scales } = integerWeight(weight, name, isTransposed, this.#bits);
    this.g.initializers.push(values, scales);
    const found = [
      { name, type: 'int8', shape: values.dims },
      { name: scales.name!, type: 'float32', shape: scales.dims },
    ] as const satisfies readonly Value[];
    this.#weights.set(name, found);
    return found;
  }
}

/**
 * The graph with these products in integers; may be interrupted after each.
 */
export function* withIntegerProducts(
  graph: GraphProto,
  integers: IntegerProducts,
  products: ReadonlyMap<NodeProto, FrozenProduct>,
): Generator<void, GraphProto> {
  const { g } = integers;
  const node: NodeProto[] = [];
  for (const each of graph.node ?? []) {
    const product = products.get(each);
    if (!product) {
      node.push(each);
      continue;
    }
    const y = integers.emit(product);
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

/** What stands for `(integers − ZERO) ÷ STEPS · rows`. */
interface Rounded {
  readonly integers: Value;
  /** The largest magnitude of each row. */
  readonly rows: Value;
}

const STEPS = 127;
const ZERO = 128;

/** x with each row divided by its largest magnitude, as integers of eight bits. What a row becomes depends on no other. */
function rounded(g: GraphBuilder, x: Value): Rounded {
  // Not exactly zero, so that rows of zeros stay zeros.
  const rows = g.Max(g.ReduceMax(g.Abs(x), [-1], true), g.scalar(1e-30));
  return { integers: g.emit('QuantizeLinear', [g.Div(x, rows), ...scaleOf(g)]), rows };
}

function scaleOf(g: GraphBuilder): [scale: Value, zeroPoint: Value] {
  return [g.scalar(1 / STEPS), g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(ZERO) })];
}
