/**
 * @file Rewrites exploded GELUs to the one operator that every provider has: x·½·(1 + erf(x/√2)), and its tanh form
 * x·½·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
 */

import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { readFloats } from '../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../graph/walk.ts';

/** The contrib domain of ONNX Runtime, where Gelu exists at every opset. */
export const CONTRIB = 'com.microsoft';

/**
 * Replaces each exploded GELU whose intermediate values nothing else reads. The runtime would fuse them too, but not once
 * a gradient reads the intermediates; and the gradient of the one operator is cheaper.
 */
export function fuseGelu(graph: GraphProto): GraphProto {
  const index = indexGraph(graph);
  const replacement = new Map<NodeProto, NodeProto | undefined>();
  for (const node of graph.node ?? []) {
    const form = forms.get(node.opType);
    const found = form && match(node, form.inside, index);
    if (!found) continue;
    for (const each of found.nodes) replacement.set(each, undefined);
    const last = found.nodes.at(-1)!;
    replacement.set(last, {
      // Outputs have names that are nobody else's; nodes may have none.
      name: `${last.output![0]}/Gelu`,
      opType: form.operator,
      domain: CONTRIB,
      input: [found.x],
      output: last.output!,
    });
  }
  if (replacement.size === 0) return graph;
  return {
    ...graph,
    node: (graph.node ?? []).flatMap((node) => (replacement.has(node) ? (replacement.get(node) ?? []) : [node])),
  };
}

/** What a GELU is of: the value, and the nodes that make the argument of erf or tanh from it. */
interface Inside {
  readonly x: string;
  readonly nodes: readonly NodeProto[];
}

interface Form {
  readonly operator: 'Gelu' | 'FastGelu';
  readonly inside: (argument: string, index: GraphIndex) => Inside | undefined;
}

/** By the operator in the middle. */
const forms: ReadonlyMap<string | undefined, Form> = new Map([
  ['Erf', { operator: 'Gelu', inside: scaledInput }],
  ['Tanh', { operator: 'FastGelu', inside: cubicInput }],
]);

function match(middle: NodeProto, inside: Form['inside'], index: GraphIndex): Inside | undefined {
  const argument = inside(middle.input?.[0] ?? '', index);
  const plusOne = soleReader(middle.output![0]!, index);
  if (!argument || soleReader(middle.input![0]!, index) !== middle || plusOne?.opType !== 'Add') return undefined;
  if (!near(otherOperand(plusOne, middle.output![0]!), 1, index)) return undefined;
  const { x } = argument;
  // What is left is a product of x, ½ and (1 + erf) in any order of association.
  let rest = new Set(['x', 'half']);
  const nodes = [...argument.nodes, middle, plusOne];
  let value = plusOne.output![0]!;
  while (rest.size > 0) {
    const multiply = soleReader(value, index);
    if (multiply?.opType !== 'Mul') return undefined;
    const other = otherOperand(multiply, value);
    if (other === x && rest.has('x')) rest = without(rest, 'x');
    else if (near(other, 0.5, index) && rest.has('half')) rest = without(rest, 'half');
    else {
      const half: NodeProto | undefined = other ? index.producer.get(other) : undefined;
      if (half?.opType !== 'Mul' || rest.size !== 2 || soleReader(other!, index) !== multiply) return undefined;
      if (!half.input!.includes(x) || !near(otherOperand(half, x), 0.5, index)) return undefined;
      nodes.push(half);
      rest = new Set();
    }
    nodes.push(multiply);
    value = multiply.output![0]!;
  }
  return { x, nodes };
}

/** x of x·(1/√2) or x/√2. */
function scaledInput(argument: string, index: GraphIndex): Inside | undefined {
  const node = index.producer.get(argument);
  const [a, b] = node?.input ?? [];
  const isScaled = node?.opType === 'Div' ? near(b, Math.SQRT2, index) : near(b, Math.SQRT1_2, index);
  const isTurned = node?.opType === 'Mul' && near(a, Math.SQRT1_2, index);
  const x = isTurned ? b : a;
  return x && (isTurned || (isScaled && ['Mul', 'Div'].includes(node!.opType!))) ? { x, nodes: [node!] } : undefined;
}

/** x of √(2/π)·(x + 0.044715·x³). */
function cubicInput(argument: string, index: GraphIndex): Inside | undefined {
  const outer = timesConstant(argument, Math.sqrt(2 / Math.PI), index);
  const sum = outer && index.producer.get(outer.x);
  if (sum?.opType !== 'Add' || soleReader(outer!.x, index) !== outer!.node) return undefined;
  for (const [x, cubic] of [sum.input ?? [], (sum.input ?? []).toReversed()] as [string, string][]) {
    const inner = timesConstant(cubic, 0.044715, index);
    const cube = inner && soleReader(cubic, index) === sum ? cubeOf(x, inner.x, inner.node, index) : undefined;
    if (cube) return { x, nodes: [...cube, inner!.node, sum, outer!.node] };
  }
  return undefined;
}

/** The nodes that make x³, which nothing but `reader` reads: a power, or two products. */
function cubeOf(x: string, cube: string, reader: NodeProto, index: GraphIndex): NodeProto[] | undefined {
  const node = index.producer.get(cube);
  if (!node || soleReader(cube, index) !== reader) return undefined;
  if (node.opType === 'Pow') return node.input?.[0] === x && near(node.input[1], 3, index) ? [node] : undefined;
  const square = otherOperand(node, x);
  const inner = square === undefined ? undefined : index.producer.get(square);
  const isProduct = node.opType === 'Mul' && node.input?.includes(x) && inner !== undefined;
  if (!isProduct || soleReader(square!, index) !== node) return undefined;
  const isSquare =
    inner.opType === 'Mul'
      ? inner.input?.every((name) => name === x)
      : inner.opType === 'Pow' && inner.input?.[0] === x && near(inner.input[1], 2, index);
  return isSquare ? [inner, node] : undefined;
}

/** The product of a value and that constant, and the value. */
function timesConstant(
  name: string,
  factor: number,
  index: GraphIndex,
): { readonly node: NodeProto; readonly x: string } | undefined {
  const node = index.producer.get(name);
  const [a, b] = node?.input ?? [];
  if (node?.opType !== 'Mul') return undefined;
  const x = near(b, factor, index) ? a : near(a, factor, index) ? b : undefined;
  return x === undefined ? undefined : { node, x };
}

function otherOperand(node: NodeProto, name: string): string | undefined {
  const [a, b] = node.input ?? [];
  return a === name ? b : a;
}

function soleReader(name: string, index: GraphIndex): NodeProto | undefined {
  const uses = index.uses.get(name) ?? [];
  return uses.length === 1 && !index.outputs.has(name) ? uses[0]!.node : undefined;
}

function near(name: string | undefined, value: number, index: GraphIndex): boolean {
  const tensor = name === undefined ? undefined : index.constants.get(name);
  if (!tensor || (tensor.dims ?? []).some((dim) => dim !== 1) || ![1, 10, 11].includes(tensor.dataType ?? 0))
    return false;
  return Math.abs(readFloats(tensor)[0]! - value) < 1e-3 * value;
}

function without(set: ReadonlySet<string>, value: string): Set<string> {
  return new Set([...set].filter((each) => each !== value));
}
