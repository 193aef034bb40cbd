/** @file Rewrites an exploded GELU, x·½·(1 + erf(x/√2)), to the one operator that every provider has. */

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
    if (node.opType !== 'Erf') continue;
    const found = match(node, index);
    if (!found) continue;
    for (const each of found.nodes) replacement.set(each, undefined);
    const last = found.nodes.at(-1)!;
    replacement.set(last, {
      name: `${last.name}/Gelu`,
      opType: 'Gelu',
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

function match(erf: NodeProto, index: GraphIndex): { x: string; nodes: NodeProto[] } | undefined {
  const scaled = index.producer.get(erf.input![0]!);
  const x = scaled && scaledInput(scaled, index);
  const plusOne = soleReader(erf.output![0]!, index);
  if (!x || !scaled || soleReader(scaled.output![0]!, index) !== erf || plusOne?.opType !== 'Add') return undefined;
  if (!near(otherOperand(plusOne, erf.output![0]!), 1, index)) return undefined;
  // What is left is a product of x, ½ and (1 + erf) in any order of association.
  let rest = new Set(['x', 'half']);
  const nodes = [scaled, erf, plusOne];
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
function scaledInput(node: NodeProto, index: GraphIndex): string | undefined {
  const [a, b] = node.input ?? [];
  if (node.opType === 'Div') return near(b, Math.SQRT2, index) ? a : undefined;
  if (node.opType !== 'Mul') return undefined;
  if (near(b, Math.SQRT1_2, index)) return a;
  return near(a, Math.SQRT1_2, index) ? b : undefined;
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
