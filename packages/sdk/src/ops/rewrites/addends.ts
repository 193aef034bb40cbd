/** @file Fuses sums of cotangents into Gemm: an addend costs no extra pass over memory. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { attributeOf } from '../schema.ts';

/** With fewer summands, the runtime computes a Gemm with an addend on one thread. */
const SHORT_PRODUCT = 64;

/** A Gemm, and the Reshape between it and the sum, if any. */
interface Product {
  readonly gemm: NodeProto;
  readonly reshape: NodeProto | undefined;
  /** Shape of the Gemm, `[rows, columns]`. */
  readonly rows: readonly number[];
}

/**
 * Rewrites `Add(c, Gemm(a, b))`, also with a Reshape between, to the Gemm with addend c, if nothing else reads the
 * product. Takes finished nodes, whose readers are all known, since values may share a cotangent. `results` are read
 * from outside.
 */
export function productsWithAddends(
  nodes: readonly NodeProto[],
  g: GraphBuilder,
  typeOf: (name: string) => ValueType,
  results: ReadonlySet<string>,
): NodeProto[] {
  const { producer, readers } = indexNodes(nodes);
  /** The producer of a value with a single reader. */
  const inner = (name: string): NodeProto | undefined =>
    readers.get(name)?.length === 1 && !results.has(name) ? producer.get(name) : undefined;
  const productOf = (name: string): Product | undefined => {
    const made = inner(name);
    const reshape = made?.opType === 'Reshape' ? made : undefined;
    const gemm = reshape ? inner(reshape.input![0]!) : made;
    if (gemm?.opType !== 'Gemm' || gemm.input!.length !== 2) return undefined;
    // A weight gradient sums over the rows of a batch, but graphs must not differ by batch size.
    const summands = attributeOf(gemm, 'transA') === 0 ? typeOf(gemm.input![0]!).shape?.[1] : undefined;
    if (typeof summands !== 'number' || summands < SHORT_PRODUCT) return undefined;
    const rows = typeOf(gemm.output![0]!).shape;
    return isStatic(rows) ? { gemm, reshape, rows } : undefined;
  };
  const moved = new Set<NodeProto>();
  const sums = new Map<NodeProto, readonly NodeProto[]>();
  for (const node of nodes) {
    const [before = '', gradient = ''] = node.input ?? [];
    if (node.opType !== 'Add' || before === gradient) continue;
    if (typeOf(before).shape?.join() !== typeOf(gradient).shape?.join()) continue;
    const product = productOf(gradient);
    if (!product) continue;
    const { gemm, reshape, rows } = product;
    const start = g.nodes.length;
    const value: Value = { name: before, ...typeOf(before) };
    const addend = reshape ? g.Reshape(value, rows) : value;
    const sum = { ...gemm, input: [...gemm.input!, addend.name], output: reshape ? gemm.output! : node.output! };
    for (const each of reshape ? [gemm, reshape] : [gemm]) moved.add(each);
    sums.set(node, [...g.nodes.splice(start), sum, ...(reshape ? [{ ...reshape, output: node.output! }] : [])]);
  }
  return nodes.flatMap((node) => (moved.has(node) ? [] : (sums.get(node) ?? [node])));
}
