/** @file Mixed precision (https://arxiv.org/abs/1710.03740): products with frozen weights in float16. */

import { dataTypeNumber } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../../graph/walk.ts';
import { toHalf, toShorts } from '../../runtime/halfFloat.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { isStandard } from '../domains.ts';
import { frozenWeight } from '../frozenWeight.ts';
import { inferNode } from '../infer.ts';
import { type FrozenProduct, frozenProducts, type ProductEmitter } from './frozenProducts.ts';

/** Largest finite float16. */
const LARGEST = 65_504;

/**
 * Products, convolutions and embedding lookups (tables are often tied to the head) that float16 can compute, in graph
 * order.
 */
export function halfProducts(graph: GraphProto, smallest: number): ReadonlyMap<NodeProto, FrozenProduct> {
  const index = indexGraph(graph);
  const { constants } = index;
  const matrices = frozenProducts(graph, smallest);
  const found = new Map<NodeProto, FrozenProduct>();
  for (const node of graph.node ?? []) {
    const product = matrices.get(node) ?? weighted(node, index);
    if (!product || sizeOf(product.weight.dims!) < smallest) continue;
    // A constant bias is added within the product.
    const { addend } = product;
    found.set(node, { ...product, addend: addend !== undefined && constants.has(addend) ? undefined : addend });
  }
  return found;
}

/** A convolution or an embedding lookup. */
function weighted(node: NodeProto, index: GraphIndex): FrozenProduct | undefined {
  const { opType, domain, input: [first = '', second = ''] = [] } = node;
  const isConvolution = opType === 'Conv' || opType === 'ConvTranspose';
  if (!isStandard(domain) || (!isConvolution && opType !== 'Gather')) return undefined;
  const [x, factor] = isConvolution ? [first, second] : [second, first];
  const weight = frozenWeight(factor, index)?.weight;
  if (!weight || index.constants.has(x)) return undefined;
  // Any bias stays in the node.
  return { x, weight, isTransposed: false, isFlat: false, addend: undefined };
}

/** Whether a weight is finite in float16. */
export function fitsHalf(weight: TensorProto): boolean {
  const known = fitting.get(weight);
  if (known !== undefined) return known;
  const fits = readFloats(weight).every((value) => Math.abs(value) <= LARGEST);
  fitting.set(weight, fits);
  return fits;
}

const fitting = new WeakMap<TensorProto, boolean>();

/** Emits products in float16. */
export class HalfProducts implements ProductEmitter {
  readonly g: GraphBuilder;
  readonly #index: Pick<GraphIndex, 'constants' | 'producer'>;
  /** Float16 casts by value name, since several products share an input, such as queries, keys and values. */
  readonly #halves = new Map<string, string>();

  constructor(graph: GraphProto, opset: number) {
    this.#index = indexGraph(graph);
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: PREFIX });
  }

  /** The node in float16 without a computed matrix addend; its output as float32. */
  emit({ x, addend }: FrozenProduct, node: NodeProto): Value {
    const input = node
      .input!.filter((name, i) => i < 2 || name !== addend)
      .map((name) => (name === x && node.opType === 'Gather' ? name : this.#half(name)));
    const output = PREFIX + node.output![0]!;
    this.g.nodes.push({ ...node, name: `${PREFIX}${node.name ?? output}`, input, output: [output] });
    return this.g.Cast({ name: output, type: 'float16' }, dataTypeNumber('float32'));
  }

  #half(name: string): string {
    const known = this.#halves.get(name);
    if (known !== undefined) return known;
    const half = this.#emitHalf(name);
    this.#halves.set(name, half);
    return half;
  }

  #emitHalf(name: string): string {
    const { constants, producer } = this.#index;
    const weight = constants.get(name);
    if (weight?.dataType === dataTypeNumber('float16')) return name;
    if (weight) {
      const rounded = halfWeight(weight, name);
      this.g.initializers.push(rounded);
      return rounded.name!;
    }
    const stored = frozenWeight(name, this.#index);
    if (!stored) return this.g.Cast({ name, type: 'float32' }, dataTypeNumber('float16')).name;
    const maker = producer.get(name)!;
    const [from = ''] = maker.input!;
    if (maker.opType === 'Cast') return this.#half(from);
    const half = PREFIX + name;
    this.g.nodes.push({ ...maker, name: half, input: [this.#half(from)], output: [half] });
    return half;
  }
}

const PREFIX = 'float16/';

/** A float32 tensor as float16, computed on write and shared by all graphs. */
function halfWeight(weight: TensorProto, name: string): TensorProto {
  const known = halves.get(weight);
  if (known) return known;
  const dims = weight.dims!;
  const compute = (): Uint8Array => new Uint8Array(toShorts(readFloats(weight), toHalf).buffer);
  const rawData = { length: 2 * sizeOf(dims), compute };
  const half = { name: PREFIX + name, dims, dataType: dataTypeNumber('float16'), rawData };
  halves.set(weight, half);
  return half;
}

const halves = new WeakMap<TensorProto, TensorProto>();
