/** @file THE table of graph fusions. To add one: a row in `fusions`, and positive and negative cases in its test. */

import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { readFloats } from '../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../graph/walk.ts';
import { CONTRIB } from '../ops/domains.ts';
import { type NonMatch, nodeLabel } from './mismatch.ts';

/** A pattern for a value: the input x, a constant, an operator's output, or alternatives. */
type Pattern = 'x' | number | Made | { readonly anyOf: readonly Pattern[] };

/** Add and Mul match any order and association of their operands. */
interface Made {
  readonly op: string;
  readonly operands: readonly Pattern[];
}

const made = (op: string, ...operands: readonly Pattern[]): Made => ({ op, operands });

/** x·½·(1 + f) */
const halved = (f: Pattern): Made => made('Mul', made('Add', f, 1), 0.5, 'x');

/** x/√2 */
const scaled: Pattern = { anyOf: [made('Div', 'x', Math.SQRT2), made('Mul', Math.SQRT1_2, 'x')] };

/** 0.044715·x³ */
const cubic: Pattern = {
  anyOf: [
    made('Mul', 0.044715, made('Pow', 'x', 3)),
    made('Mul', 0.044715, made('Pow', 'x', 2), 'x'),
    made('Mul', 0.044715, 'x', 'x', 'x'),
  ],
};

/** Operators of x alone and their decomposed forms. */
const fusions: readonly { readonly operator: string; readonly pattern: Made }[] = [
  // x·½·(1 + erf(x/√2))
  { operator: 'Gelu', pattern: halved(made('Erf', scaled)) },
  // x·½·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
  { operator: 'FastGelu', pattern: halved(made('Tanh', made('Mul', Math.sqrt(2 / Math.PI), made('Add', cubic, 'x')))) },
];

/**
 * Fuses each pattern whose intermediate values have no other readers. ONNX Runtime fuses many too, but not once a
 * gradient reads the intermediates; the gradient of the fused operator is also cheaper.
 */
export function fuse(graph: GraphProto): GraphProto {
  const index = indexGraph(graph);
  const replacement = new Map<NodeProto, NodeProto | undefined>();
  for (const node of graph.node ?? []) {
    for (const { operator, pattern } of fusions) {
      const [found] = matches(pattern, node.output![0]!, nothing, { index });
      if (!found) continue;
      for (const each of found.nodes) replacement.set(each, undefined);
      // Output names are unique; nodes may be unnamed.
      const name = `${node.output![0]}/${operator}`;
      replacement.set(node, { name, opType: operator, domain: CONTRIB, input: [found.x!], output: node.output! });
    }
  }
  if (replacement.size === 0) return graph;
  return {
    ...graph,
    node: (graph.node ?? []).flatMap((node) => (replacement.has(node) ? (replacement.get(node) ?? []) : [node])),
  };
}

/** Fewer matched nodes are chance: every product begins like a GELU. */
const FEWEST_NODES = 3;

/** Near misses of the fusion patterns, one per place: the attempt that matched most. */
export function almostFused(graph: GraphProto): NonMatch[] {
  const index = indexGraph(graph);
  const attempts: Attempt[] = [];
  const done = new Set<NodeProto>();
  for (const node of graph.node ?? []) {
    for (const { operator, pattern } of fusions) {
      let farthest: Difference | undefined;
      const failed = (difference: Difference): void => {
        if (difference.depth > (farthest?.depth ?? 0)) farthest = difference;
      };
      const [found] = matches(pattern, node.output![0]!, nothing, { index, failed });
      if (found) for (const each of found.nodes) done.add(each);
      else if (farthest && farthest.nodes.length >= FEWEST_NODES) attempts.push({ operator, node, ...farthest });
    }
  }
  const reported: Attempt[] = [];
  for (const attempt of attempts.toSorted((a, b) => b.depth - a.depth)) {
    if (attempt.nodes.some((each) => done.has(each))) continue;
    for (const each of attempt.nodes) done.add(each);
    reported.push(attempt);
  }
  return reported.map(({ operator, node, reason }) => ({ pattern: operator, at: nodeLabel(node), reason }));
}

interface Difference {
  /** Number of matched nodes and leaves, plus a half if the last has the expected kind. */
  readonly depth: number;
  readonly nodes: readonly NodeProto[];
  readonly reason: string;
}

interface Attempt extends Difference {
  readonly operator: string;
  readonly node: NodeProto;
}

/** The value bound to x, the matched nodes, and the number of constants and x found. */
interface Match {
  readonly x?: string;
  readonly nodes: readonly NodeProto[];
  readonly leaves: number;
}

const nothing: Match = { nodes: [], leaves: 0 };

interface Search {
  readonly index: GraphIndex;
  readonly failed?: (difference: Difference) => void;
}

interface Operand {
  readonly value: string;
  readonly reader?: { readonly node: NodeProto; readonly at: number };
}

/** Yields the ways in which a value matches the pattern, given an earlier match. */
function* matches(pattern: Pattern, value: string | Operand, before: Match, search: Search): Generator<Match> {
  const { index, failed } = search;
  const { value: name, reader }: Operand = typeof value === 'string' ? { value } : value;
  const fail = (isOfKind: boolean, found: () => string): void => {
    if (!failed || !reader) return;
    const reason = `operand ${reader.at} of ${nodeLabel(reader.node)} is ${found()}`;
    failed({ depth: before.nodes.length + before.leaves + (isOfKind ? 0.5 : 0), nodes: before.nodes, reason });
  };
  if (pattern === 'x') {
    if ((before.x ?? name) === name) yield { ...before, x: name, leaves: before.leaves + 1 };
    else fail(!index.constants.has(name), () => `${inWords(name, index)}, not ${before.x}`);
  } else if (typeof pattern === 'number') {
    if (near(name, pattern, index)) yield { ...before, leaves: before.leaves + 1 };
    else fail(index.constants.has(name), () => `${inWords(name, index)}, not ${Number(pattern.toPrecision(6))}`);
  } else if ('anyOf' in pattern) {
    for (const each of pattern.anyOf) yield* matches(each, value, before, search);
  } else {
    const node = index.producer.get(name);
    if (node?.opType !== pattern.op)
      return fail(false, () => `${inWords(name, index)}, not the output of ${pattern.op}`);
    if (before.nodes.length > 0 && !isReadOnce(name, index))
      return fail(true, () => `${inWords(name, index)}, which other nodes read too`);
    const inAnyOrder = pattern.op === 'Add' || pattern.op === 'Mul';
    const { operands, nodes } = inAnyOrder
      ? joined(node, pattern.operands.length, index)
      : { operands: operandsOf(node), nodes: [node] };
    const within = { ...before, nodes: [...before.nodes, ...nodes] };
    if (operands.length === pattern.operands.length)
      yield* matchAll(pattern.operands, operands, within, search, inAnyOrder);
  }
}

function* matchAll(
  [pattern, ...patterns]: readonly Pattern[],
  operands: readonly Operand[],
  before: Match,
  search: Search,
  inAnyOrder: boolean,
): Generator<Match> {
  if (pattern === undefined) yield before;
  else
    for (const [at, operand] of (inAnyOrder ? operands : operands.slice(0, 1)).entries())
      for (const match of matches(pattern, operand, before, search))
        yield* matchAll(patterns, operands.toSpliced(at, 1), match, search, inAnyOrder);
}

function operandsOf(node: NodeProto): Operand[] {
  return (node.input ?? []).map((value, at) => ({ value, reader: { node, at } }));
}

/** Flattens a sum or product into at most `most` operands, through nodes with a single reader. */
function joined(
  node: NodeProto,
  most: number,
  index: GraphIndex,
): { readonly operands: readonly Operand[]; readonly nodes: readonly NodeProto[] } {
  const operands = operandsOf(node);
  const nodes = [node];
  for (let at = 0; at < operands.length && nodes.length + 1 < most;) {
    const { value } = operands[at]!;
    const inner = index.producer.get(value);
    if (inner && inner.opType === node.opType && isReadOnce(value, index)) {
      operands.splice(at, 1, ...operandsOf(inner));
      nodes.push(inner);
    } else at++;
  }
  return { operands, nodes };
}

function isReadOnce(name: string, index: GraphIndex): boolean {
  return index.uses.get(name)?.length === 1 && !index.outputs.has(name);
}

function near(name: string, value: number, index: GraphIndex): boolean {
  const constant = numberOf(name, index);
  return constant !== undefined && Math.abs(constant - value) < 1e-3 * value;
}

function numberOf(name: string, index: GraphIndex): number | undefined {
  const tensor = index.constants.get(name);
  if (!tensor || (tensor.dims ?? []).some((dim) => dim !== 1) || ![1, 10, 11].includes(tensor.dataType ?? 0))
    return undefined;
  return readFloats(tensor)[0]!;
}

function inWords(name: string, index: GraphIndex): string {
  const constant = numberOf(name, index);
  if (constant !== undefined) return String(Number(constant.toPrecision(6)));
  const node = index.producer.get(name);
  return node ? `the output of ${nodeLabel(node)}` : name;
}
