/** @file Cleans up the nodes of gradients: fuses sums into Gemm, removes redundant Reshapes. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { type Dim, isStatic, type ValueType } from '../../graph/value.ts';
import { indexNodes, subgraphs } from '../../graph/walk.ts';
import { attributeOf } from '../schema.ts';
import { isStandard } from '../domains.ts';

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

/** Skips intermediate shapes of chained Reshapes and removes redundant ones; `outputs` keep their names. */
export function straightenReshapes(
  nodes: readonly NodeProto[],
  typeOf: (name: string) => ValueType | undefined,
  outputs: ReadonlySet<string>,
): NodeProto[] {
  const { readers } = indexNodes(nodes);
  const before = new Map<string, string>();
  const renamed = new Map<string, string>();
  return nodes.flatMap((node) => {
    const input = (node.input ?? []).map((name) => renamed.get(name) ?? name);
    const own = input.some((name, i) => name !== node.input![i]) ? { ...node, input } : node;
    if (node.opType !== 'Reshape' || !isStandard(node.domain)) return [own];
    const [x = '', shape = ''] = input;
    const y = node.output![0]!;
    const target = typeOf(shape)?.ints;
    // Zero copies a dimension of the input.
    if (!target || target.includes(0)) return [own];
    const source = before.get(x) ?? x;
    before.set(y, source);
    // Subgraphs read outer names.
    const isInside = (readers.get(y) ?? []).some((reader) => subgraphs(reader).length > 0);
    const same = [x, source].find((name) => isShape(typeOf(name)?.shape, target));
    if (same !== undefined && !outputs.has(y) && !isInside) {
      renamed.set(y, same);
      return [];
    }
    return source === x ? [own] : [{ ...own, input: [source, shape] }];
  });
}

/** Whether a target equals a shape, one dimension at most being inferred. */
function isShape(shape: readonly Dim[] | undefined, target: readonly Dim[]): boolean {
  return shape?.length === target.length && shape.every((dim, i) => target[i] === -1 || target[i] === dim);
}
