/**
 * @file Which forward values a step keeps for its gradients when memory is short: those at a few places of the graph, from
 * which the others are computed again.
 *
 * @see https://arxiv.org/abs/1604.06174 (Chen et al., 2016)
 */

import { readNames, subgraphs } from '../../graph/walk.ts';
import { isRandom } from '../../ops/schema.ts';
import { type ForwardGraph, bytesOf } from './forwardGraph.ts';

/** Operators that take a pass or less over their values: computing them again costs little. */
const cheap = new Set([
  'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Sqrt', 'Erf', 'Tanh', 'Sigmoid', 'Relu', 'Gelu', 'QuickGelu', 'FastGelu',
  'Softmax', 'LayerNormalization', 'RMSNormalization', 'Transpose', 'Reshape', 'Unsqueeze', 'Squeeze', 'Split', 'Slice',
  'Concat', 'Expand', 'Cast', 'Where', 'Identity', 'BatchNormalization', 'Clip', 'HardSwish', 'HardSigmoid', 'LeakyRelu',
]); // prettier-ignore

/** How much is computed again: operators that cost little, or all. */
export type Recomputation = 'cheap' | 'all';

/**
 * Values to compute again, given that of every stretch of the graph only what leaves it is kept. Stretches hold about as
 * many bytes each; there are as many as makes what is kept and what one stretch takes about equal. They end where few
 * bytes cross.
 */
export function recomputedValues(graph: ForwardGraph, what: Recomputation): ReadonlySet<string> {
  const { nodes, outputs } = graph;
  const kept = new Set<string>();
  for (const crossing of boundaries(graph)) for (const name of crossing) kept.add(name);
  const recomputed = new Set<string>();
  for (const node of nodes) {
    if (what === 'cheap' && !cheap.has(node.opType ?? '')) continue;
    const names = (node.output ?? []).filter(Boolean);
    // Noise that is drawn again is other noise.
    if (node.opType === 'Constant' || subgraphs(node).length > 0 || isRandom(node)) continue;
    if (names.some((name) => kept.has(name) || outputs.has(name))) continue;
    for (const name of names) recomputed.add(name);
  }
  return recomputed;
}

/** For each boundary between stretches, the values that cross it. */
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
