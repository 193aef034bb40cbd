/** @file The role of a value in an attention: query, key or value. */

import { attributeOf } from '../../ops/schema.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { type GraphIndex, stringAttribute, type Use } from '../../graph/walk.ts';
import type { Projection } from '../structuralPath.ts';

/** A computation that reads outputs of a layer. */
export interface Sink extends Use {
  /** Flags which outputs of the layer it reads. */
  readonly columns: Uint8Array;
}

const projections: readonly Projection[] = ['q', 'k', 'v'];

/** Fused attention operators with queries, keys and values as their first inputs. */
const attentions: ReadonlySet<string> = new Set(['MultiHeadAttention', 'GroupQueryAttention', 'Attention']);

/** Products of two computed values, as in an attention by itself. */
const products: ReadonlySet<string> = new Set(['MatMul', 'FusedMatMul', 'Einsum']);

/** Operators that end the search: their outputs are sums over the elements, or none of them. */
const barriers: ReadonlySet<string> = new Set(['Shape', 'Size', 'Gemm', 'FusedGemm', 'Conv', 'Softmax', 'MatMulNBits', 'MatMulInteger', ...products, ...attentions]); // prettier-ignore

/** Limit of the search: an attention has fewer nodes. */
const MOST_NODES = 128;

/** Groups a layer's outputs by their role in an attention, with the attention's outputs. */
export function partRoles(
  sinks: readonly Sink[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): {
  readonly columns: ReadonlyMap<Projection, Uint8Array>;
  readonly attended: readonly string[];
  /** Products that read the outputs: scores for queries and keys. */
  readonly products: readonly string[];
} {
  const columns = new Map<Projection, Uint8Array>();
  const attended = new Set<string>();
  const read = new Set<string>();
  for (const sink of sinks) {
    for (const { role, output } of rolesFrom(sink, index, typeOf)) {
      const before = columns.get(role);
      columns.set(role, before ? before.map((own, at) => own | sink.columns[at]!) : sink.columns);
      read.add(output);
      if (role === 'v') attended.add(output);
    }
  }
  return {
    columns: new Map(projections.flatMap((as) => (columns.has(as) ? [[as, columns.get(as)!]] : []))),
    attended: [...attended],
    products: [...read],
  };
}

interface Role {
  readonly role: Projection;
  readonly output: string;
}

/** The attention products that a value reaches. */
function rolesFrom(from: Use, index: GraphIndex, typeOf: (value: string) => ValueType | undefined): readonly Role[] {
  const roles: Role[] = [];
  forward([from], index, ({ node, index: at }) => {
    const role = roleAt(node, at, index, typeOf);
    if (role) roles.push({ role, output: node.output![0]! });
    return !barriers.has(node.opType ?? '');
  });
  return roles;
}

function roleAt(
  node: NodeProto,
  at: number,
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): Projection | undefined {
  const { opType = '', input = [] } = node;
  if (attentions.has(opType)) return projections[at];
  const other = input[1 - at];
  if (!products.has(opType) || input.length !== 2 || !other) return undefined;
  if (isFromSoftmax(other, index)) return 'v';
  if (!isWeighed(node.output![0]!, index, typeOf)) return undefined;
  // Softmax normalizes scores along the last axis, that of the keys.
  if (opType !== 'Einsum') return at === 0 ? 'q' : 'k';
  const [terms = '', y = ''] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  return terms.split(',')[at]?.includes(y.at(-1) ?? '?') ? 'k' : 'q';
}

/** Whether a value reaches a Softmax along the last axis before any product. */
function isWeighed(value: string, index: GraphIndex, typeOf: (value: string) => ValueType | undefined): boolean {
  let found = false;
  forward(index.uses.get(value) ?? [], index, ({ node }) => {
    if (node.opType === 'Softmax') {
      const axis = attributeOf(node, 'axis');
      const rank = typeOf(node.input![0]!)?.shape?.length;
      found ||= axis === -1 || axis + 1 === rank;
    }
    return !barriers.has(node.opType ?? '');
  });
  return found;
}

/** The attention's output behind one of its products, which may be the scores; undefined for other products. */
export function attendedBy(product: string, index: GraphIndex): string | undefined {
  const maker = index.producer.get(product);
  if (attentions.has(maker?.opType ?? '') || maker?.input?.some((name) => isFromSoftmax(name, index))) return product;
  let found: string | undefined;
  forward(index.uses.get(product) ?? [], index, ({ node }) => {
    const { opType = '', output = [] } = node;
    if (products.has(opType) && node.input?.some((name) => isFromSoftmax(name, index))) found ??= output[0]; // prettier-ignore
    return opType === 'Softmax' || !barriers.has(opType);
  });
  return found;
}

/** Visits uses, and continues behind their nodes while `passes` returns true. */
function forward(from: readonly Use[], index: GraphIndex, passes: (use: Use) => boolean): void {
  const open = [...from];
  const seen = new Set<NodeProto>();
  for (let use = open.shift(); use && seen.size < MOST_NODES; use = open.shift()) {
    const isNew = !seen.has(use.node);
    seen.add(use.node);
    if (passes(use) && isNew) for (const name of use.node.output ?? []) open.push(...(index.uses.get(name) ?? []));
  }
}

/** Whether a value comes from a Softmax without a product in between. */
function isFromSoftmax(value: string, index: GraphIndex): boolean {
  const open = [value];
  const seen = new Set<NodeProto>();
  for (let name = open.shift(); name !== undefined && seen.size < MOST_NODES; name = open.shift()) {
    const node = index.producer.get(name);
    if (!node || seen.has(node)) continue;
    if (node.opType === 'Softmax') return true;
    seen.add(node);
    if (!barriers.has(node.opType ?? '')) open.push(...(node.input ?? []));
  }
  return false;
}

/** The first wanted value computed from `value` without a product in between. */
export function nextAmong(value: string, index: GraphIndex, isWanted: (value: string) => boolean): string | undefined {
  if (isWanted(value)) return value;
  let found: string | undefined;
  forward(index.uses.get(value) ?? [], index, ({ node }) => {
    found ??= barriers.has(node.opType ?? '') ? undefined : node.output?.find(isWanted);
    return found === undefined && !barriers.has(node.opType ?? '');
  });
  return found;
}
