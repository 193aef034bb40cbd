/** @file Products in place of those of a graph, arranged as those in integers are, but in float32. */

import { GraphBuilder, type Value } from '../../packages/sdk/src/graph/builder.ts';
import type { TensorProto } from '../../packages/sdk/src/graph/proto.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import type { FrozenProduct, ProductEmitter } from '../../packages/sdk/src/ops/precision/frozenProducts.ts';

/** Emits products, and sums of them as one. */
export class ExactProducts implements ProductEmitter {
  readonly g: GraphBuilder;
  /** How many sums were made one product. */
  sums = 0;
  readonly #weights = new Set<TensorProto>();

  /** @param opset of the graph that they are put into */
  constructor(opset: number) {
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: 'exact/' });
  }

  /** The product without its addend. */
  emit({ x, weight, isTransposed, windows }: FrozenProduct): Value {
    const { g } = this;
    if (!windows) return g.MatMul({ name: x, type: 'float32' }, this.#matrix(weight, isTransposed));
    const { kernel, stride, dilation, pads } = windows;
    const [out, wide] = weight.dims as [number, number];
    const [first, second] = [kernel, wide / kernel];
    const own = g.Transpose(g.Reshape(this.#matrix(weight, false), [out, first, second]), [0, 2, 1]);
    return g.emit('Conv', [{ name: x, type: 'float32' }, own], { strides: [stride], dilations: [dilation], pads });
  }

  /** The products side by side as one. */
  emitSum(products: readonly FrozenProduct[]): Value {
    const { g } = this;
    this.sums++;
    const matrices = products.map(({ weight, isTransposed }) => this.#matrix(weight, isTransposed));
    const joined = g.Concat(products.map(({ x }): Value => ({ name: x, type: 'float32' })), 1); // prettier-ignore
    return g.MatMul(joined, g.Concat(matrices, 0));
  }

  #matrix(weight: TensorProto, isTransposed: boolean): Value {
    const name = `exact/weights/${weight.name}`;
    if (!this.#weights.has(weight)) this.g.initializers.push({ ...weight, name });
    this.#weights.add(weight);
    const value: Value = { name, type: 'float32', shape: weight.dims };
    return isTransposed ? this.g.Transpose(value, [1, 0]) : value;
  }
}
