/** @file Gradient checkpointing (arXiv 1604.06174): chooses forward values to keep if memory is short. */

import { readNames, subgraphs } from '../../graph/walk.ts';
import { isRandom } from '../../ops/schema.ts';
import { type ForwardGraph, bytesOf } from './forwardGraph.ts';

/** Operators with at most one pass over their values, cheap to recompute. */
const cheap = new Set([
  'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Sqrt', 'Erf', 'Tanh', 'Sigmoid', 'Relu', 'Gelu', 'QuickGelu', 'FastGelu',
  'Softmax', 'LayerNormalization', 'RMSNormalization', 'Transpose', 'Reshape', 'Unsqueeze', 'Squeeze', 'Split', 'Slice',
  'Concat', 'Expand', 'Cast', 'Where', 'Identity', 'BatchNormalization', 'Clip', 'HardSwish', 'HardSigmoid', 'LeakyRelu',
]); // prettier-ignore

/** Recomputed operators: cheap ones, or all. */
export type Recomputation = 'cheap' | 'all';

/** Values to recompute if only boundaries between segments of similar size, where few bytes cross, are kept. */
export function recomputedValues(graph: ForwardGraph, what: Recomputation): ReadonlySet<string> {
  const { nodes, outputs } = graph;
  const kept = new Set<string>();
  for (const crossing of boundaries(graph)) for (const name of crossing) kept.add(name);
  const recomputed = new Set<string>();
  for (const node of nodes) {
    if (what === 'cheap' && !cheap.has(node.opType ?? '')) continue;
    const names = (node.output ?? []).filter(Boolean);
    // Redrawn noise would differ.
    if (node.opType === 'Constant' || subgraphs(node).length > 0 || isRandom(node)) continue;
    if (names.some((name) => kept.has(name) || outputs.has(name))) continue;
    for (const name of names) recomputed.add(name);
  }
  return recomputed;
}

/** The values that cross each boundary between segments. */
function boundaries({ nodes, types }: ForwardGraph): string[][] {
  const made = new Map<string, number>();
  const lastRead = new Map<string, number>();
  nodes.forEach((node, i) => {
    for (const name of node.output ?? []) if (name) made.set(name, i);
    for (const name of readNames(node)) lastRead.set(name, i);
  });
  const changes = new Float64Array(nodes.length + 1);
  let total = 0;
  for (const [name, start] of made) {
    const bytes = bytesOf(types.get(name));
    changes[start]! += bytes;
    changes[Math.max(start, lastRead.get(name) ?? start)]! -= bytes;
    total += bytes;
  }
  const count = Math.max(1, Math.round(Math.sqrt(nodes.length / 8)));
  const places: number[] = [];
  let [crossing, seen, best, least] = [0, 0, -1, Infinity];
  nodes.forEach((node, i) => {
    crossing += changes[i]!;
    seen += (node.output ?? []).reduce((sum, name) => sum + bytesOf(types.get(name)), 0);
    if (crossing <= least) [best, least] = [i, crossing];
    if (seen >= ((places.length + 1) * total) / count && places.length + 1 < count) {
      places.push(best);
      least = Infinity;
    }
  });
  return places.map((place) =>
    [...made].filter(([name, start]) => start <= place && (lastRead.get(name) ?? -1) > place).map(([name]) => name),
  );
}
