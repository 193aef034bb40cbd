/**
 * @file THE table of graph patterns: operators that exporters write as several nodes become the one that every provider has.
 * To add one: a row in `fusions`, and what is fused and what stays in `fusions.test.ts`.
 */

import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { readFloats } from '../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../graph/walk.ts';
import { CONTRIB } from '../ops/domains.ts';

/** What a value is: x itself, a constant, what an operator makes of other values, or any of several. */
type Pattern = 'x' | number | Made | { readonly anyOf: readonly Pattern[] };

/** Sums (Add) and products (Mul) stand for every order and association of their operands. */
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

/** What is written for which operator of x alone. */
const fusions: readonly { readonly operator: string; readonly pattern: Made }[] = [
  // x·½·(1 + erf(x/√2))
  { operator: 'Gelu', pattern: halved(made('Erf', scaled)) },
  // x·½·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
  { operator: 'FastGelu', pattern: halved(made('Tanh', made('Mul', Math.sqrt(2 / Math.PI), made('Add', cubic, 'x')))) },
];

/**
 * Replaces each pattern whose intermediate values nothing else reads. The runtime would fuse many of them too, but not once a
 * gradient reads the intermediates; and the gradient of the one operator is cheaper.
 */
export function fuse(graph: GraphProto): GraphProto {
  const index = indexGraph(graph);
  const replacement = new Map<NodeProto, NodeProto | undefined>();
  for (const node of graph.node ?? []) {
    for (const { operator, pattern } of fusions) {
      const [found] = matches(pattern, node.output![0]!, { nodes: [] }, index);
      if (!found) continue;
      for (const each of found.nodes) replacement.set(each, undefined);
      // Outputs have names that are nobody else's; nodes may have none.
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

/** What x is, and the nodes that make a value of it. */
interface Match {
  readonly x?: string;
  readonly nodes: readonly NodeProto[];
}

/** The ways in which a value is what the pattern says, given what has been matched before. */
function* matches(pattern: Pattern, value: string, before: Match, index: GraphIndex): Generator<Match> {
  if (pattern === 'x') {
    if ((before.x ?? value) === value) yield { ...before, x: value };
  } else if (typeof pattern === 'number') {
    if (near(value, pattern, index)) yield before;
  } else if ('anyOf' in pattern) {
    for (const each of pattern.anyOf) yield* matches(each, value, before, index);
  } else {
    const node = index.producer.get(value);
    if (node?.opType !== pattern.op || (before.nodes.length > 0 && !isReadOnce(value, index))) return;
    const inAnyOrder = pattern.op === 'Add' || pattern.op === 'Mul';
    const { operands, nodes } = inAnyOrder
      ? joined(node, pattern.operands.length, index)
      : { operands: node.input ?? [], nodes: [node] };
    if (operands.length !== pattern.operands.length) return;
    yield* matchAll(pattern.operands, operands, { ...before, nodes: [...before.nodes, ...nodes] }, index, inAnyOrder);
  }
}

function* matchAll(
  [pattern, ...patterns]: readonly Pattern[],
  operands: readonly string[],
  before: Match,
  index: GraphIndex,
  inAnyOrder: boolean,
): Generator<Match> {
  if (pattern === undefined) yield before;
  else
    for (const [at, operand] of (inAnyOrder ? operands : operands.slice(0, 1)).entries())
      for (const match of matches(pattern, operand, before, index))
        yield* matchAll(patterns, operands.toSpliced(at, 1), match, index, inAnyOrder);
}

/** The operands of a sum or product, and of those among them that only it reads, up to so many. */
function joined(
  node: NodeProto,
  most: number,
  index: GraphIndex,
): { readonly operands: readonly string[]; readonly nodes: readonly NodeProto[] } {
  const operands = [...(node.input ?? [])];
  const nodes = [node];
  for (let at = 0; at < operands.length && nodes.length + 1 < most;) {
    const inner = index.producer.get(operands[at]!);
    if (inner && inner.opType === node.opType && isReadOnce(operands[at]!, index)) {
      operands.splice(at, 1, ...(inner.input ?? []));
      nodes.push(inner);
    } else at++;
  }
  return { operands, nodes };
}

function isReadOnce(name: string, index: GraphIndex): boolean {
  return index.uses.get(name)?.length === 1 && !index.outputs.has(name);
}

function near(name: string, value: number, index: GraphIndex): boolean {
  const tensor = index.constants.get(name);
  if (!tensor || (tensor.dims ?? []).some((dim) => dim !== 1) || ![1, 10, 11].includes(tensor.dataType ?? 0))
    return false;
  return Math.abs(readFloats(tensor)[0]! - value) < 1e-3 * value;
}
