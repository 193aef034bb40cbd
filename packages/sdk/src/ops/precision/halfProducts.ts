/**
 * @file Products with frozen weights in float16, as automatic mixed precision computes them
 * (https://arxiv.org/abs/1710.03740): weights are stored in it, what is multiplied is rounded on the way in, and everything
 * between products, adapters, norms and losses stays in float32.
 */

import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../../graph/walk.ts';
import { toHalf, toShorts } from '../../runtime/halfFloat.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { isStandard } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { type FrozenProduct, frozenProducts, type ProductEmitter } from './frozenProducts.ts';

/** Beyond it a number is infinite in float16. */
const LARGEST = 65_504;

/**
 * What can be computed in float16, by its nodes in the order of the graph: products with matrices of the file, its
 * convolutions, and rows of its tables, which are often the matrix of a head as well.
 *
 * @param smallest numbers of a weight at least
 */
export function halfProducts(graph: GraphProto, smallest: number): ReadonlyMap<NodeProto, FrozenProduct> {
  const { constants } = indexGraph(graph);
  const matrices = frozenProducts(graph, smallest);
  const found = new Map<NodeProto, FrozenProduct>();
  for (const node of graph.node ?? []) {
    const product = matrices.get(node) ?? weighted(node, constants);
    if (!product || sizeOf(product.weight.dims!) < smallest) continue;
    // A bias of the file is added within the product.
    const { addend } = product;
    found.set(node, { ...product, addend: addend !== undefined && constants.has(addend) ? undefined : addend });
  }
  return found;
}

/** A convolution, or rows of a table. */
function weighted(node: NodeProto, constants: ReadonlyMap<string, TensorProto>): FrozenProduct | undefined {
  const { opType, domain, input: [first = '', second = ''] = [] } = node;
  const isConvolution = opType === 'Conv' || opType === 'ConvTranspose';
  if (!isStandard(domain) || (!isConvolution && opType !== 'Gather')) return undefined;
  const [x, weight] = isConvolution ? [first, constants.get(second)] : [second, constants.get(first)];
  if (!weight || constants.has(x) || dataTypeName(weight.dataType) !== 'float32') return undefined;
  // A bias goes along, whatever it is.
  return { x, weight, isTransposed: false, isFlat: false, addend: undefined };
}

/** Whether all numbers of a weight are finite in float16. */
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
  /** Values in float16 by their names in float32. Several products read one value, such as queries, keys and values. */
  readonly #halves = new Map<string, string>();

  /** @param opset of the graph */
  constructor(graph: GraphProto, opset: number) {
    this.#index = indexGraph(graph);
    this.g = new GraphBuilder({ opset, infer: inferNode, prefix: PREFIX });
  }

  /** The node in float16, but for a matrix that is computed and added; its output as float32. */
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
    if (weight) {
      const rounded = halfWeight(weight, name);
      this.g.initializers.push(rounded);
      return rounded.name!;
    }
    const maker = producer.get(name);
    const turned = maker?.opType === 'Transpose' ? maker.input![0]! : undefined;
    if (turned === undefined || !constants.has(turned))
      return this.g.Cast({ name, type: 'float32' }, dataTypeNumber('float16')).name;
    const half = PREFIX + name;
    this.g.nodes.push({ ...maker, name: half, input: [this.#half(turned)], output: [half] });
    return half;
  }
}

const PREFIX = 'float16/';

/** A float32 tensor rounded to float16; computed when it is written, and one for all graphs that have it. */
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
