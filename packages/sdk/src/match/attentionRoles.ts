/** @file What an attention does with a value: whether it is asked with, compared with, or handed on. */

import { attributeOf } from '../ops/schema.ts';
import type { NodeProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import { type GraphIndex, stringAttribute, type Use } from '../graph/walk.ts';
import type { Projection } from './structuralPath.ts';

/** A place where outputs of a layer are computed with. */
export interface Sink extends Use {
  /** For each output of the layer whether it is among them. */
  readonly columns: Uint8Array;
}

const projections: readonly Projection[] = ['q', 'k', 'v'];

/** Operators that are an attention, with queries, keys and values as their first inputs. */
const attentions: ReadonlySet<string> = new Set(['MultiHeadAttention', 'GroupQueryAttention', 'Attention']);

/** Operators behind which there is nothing of a value's numbers, or a sum over them. */
const barriers: ReadonlySet<string> = new Set(['Shape', 'Size', 'MatMul', 'Gemm', 'Conv', 'Einsum', 'Softmax', 'MatMulNBits', 'MatMulInteger', ...attentions]); // prettier-ignore

/** More nodes are no attention. */
const MOST_NODES = 128;

/** The outputs of a layer by what an attention does with them, and what it yields. */
export function partRoles(
  sinks: readonly Sink[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): { readonly columns: ReadonlyMap<Projection, Uint8Array>; readonly attended: readonly string[] } {
  const columns = new Map<Projection, Uint8Array>();
  const attended = new Set<string>();
  for (const sink of sinks) {
    for (const { role, output } of rolesFrom(sink, index, typeOf)) {
      const before = columns.get(role);
      columns.set(role, before ? before.map((own, at) => own | sink.columns[at]!) : sink.columns);
      if (role === 'v') attended.add(output);
    }
  }
  return { columns: new Map(projections.flatMap((as) => (columns.has(as) ? [[as, columns.get(as)!]] : []))), attended: [...attended] }; // prettier-ignore
}

interface Role {
  readonly role: Projection;
  /** What the node yields. */
  readonly output: string;
}

/** The products of attentions that a value reaches. */
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
  if ((opType !== 'MatMul' && opType !== 'Einsum') || input.length !== 2 || !other) return undefined;
  if (isFromSoftmax(other, index)) return 'v';
  if (!isWeighed(node.output![0]!, index, typeOf)) return undefined;
  // Scores are weighed along their last axis, which is that of the keys.
  if (opType === 'MatMul') return at === 0 ? 'q' : 'k';
  const [terms = '', y = ''] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  return terms.split(',')[at]?.includes(y.at(-1) ?? '?') ? 'k' : 'q';
}

/** Whether a Softmax along the last axis reads a value before it is multiplied with anything. */
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

/** Visits uses, and the uses of what their nodes yield while `passes` says so. */
function forward(from: readonly Use[], index: GraphIndex, passes: (use: Use) => boolean): void {
  const open = [...from];
  const seen = new Set<NodeProto>();
  for (let use = open.shift(); use && seen.size < MOST_NODES; use = open.shift()) {
    const isNew = !seen.has(use.node);
    seen.add(use.node);
    if (passes(use) && isNew) for (const name of use.node.output ?? []) open.push(...(index.uses.get(name) ?? []));
  }
}

/** Whether a value is made of a Softmax's without being multiplied with anything. */
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

/** The first of these values that is made of `value` without a product between them. */
export function nextAmong(value: string, index: GraphIndex, isWanted: (value: string) => boolean): string | undefined {
  if (isWanted(value)) return value;
  let found: string | undefined;
  forward(index.uses.get(value) ?? [], index, ({ node }) => {
    found ??= barriers.has(node.opType ?? '') ? undefined : node.output?.find(isWanted);
    return found === undefined && !barriers.has(node.opType ?? '');
  });
  return found;
}
