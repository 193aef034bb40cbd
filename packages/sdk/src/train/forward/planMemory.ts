/** @file Decides what of the forward values a step keeps for its gradients, and what it computes again. */

import { type Recomputation, recomputedValues } from './checkpoints.ts';
import { chunkAttention } from './chunkAttention.ts';
import { bytesOf, type ForwardGraph } from './forwardGraph.ts';

/**
 * How many bytes forward values may take while they wait for their gradients. `auto` keeps them all, except scores of
 * attention over long sequences. With a number, more is computed again until they fit: a step then takes up to a third
 * longer.
 */
export type Memory = 'auto' | number;

/** Bytes that attention weights may take in all before they are computed again, with `auto`; of a budget, they may take half. */
const ATTENTION_BYTES = 128 << 20;
/** The same for each piece of a batch, whose other pieces' are not there at the time; but no more than twice as many. */
const PIECE_BYTES = 32 << 20;
/** Bytes of the scores of one part: small beside everything else, large enough for products to be fast. */
const PART_BYTES = 32 << 20;

/** What differentiation is told, and the forward nodes that it takes. */
export interface MemoryPlan extends Pick<ForwardGraph, 'nodes'> {
  readonly recomputed: ReadonlySet<string>;
  readonly follows: ReadonlyMap<string, readonly string[]>;
}

/**
 * Rewrites attention where it is too large, and chooses what is computed again.
 *
 * @param pieces how many graphs like this one a batch takes, one after the other
 */
export function planMemory(graph: ForwardGraph, memory: Memory, pieces = 1): MemoryPlan {
  const budget = memory === 'auto' ? Infinity : memory;
  const most = Math.min(2 * ATTENTION_BYTES, Math.max(ATTENTION_BYTES, PIECE_BYTES * pieces));
  const isLong = softmaxBytes(graph) > (memory === 'auto' ? most : memory / 2);
  const { inside, follows } = chunkAttention(graph, Math.min(PART_BYTES, budget / 8));
  const scores: ReadonlySet<string> = isLong ? inside : new Set();
  const levels: readonly (Recomputation | undefined)[] = [undefined, 'cheap', 'all'];
  let recomputed = scores;
  for (const level of levels) {
    recomputed = level ? new Set([...scores, ...recomputedValues(graph, level)]) : scores;
    if (keptBytes(graph, recomputed) <= budget) break;
  }
  return { nodes: graph.nodes, recomputed, follows };
}

function softmaxBytes({ nodes, types }: ForwardGraph): number {
  return nodes
    .filter(({ opType }) => opType === 'Softmax')
    .reduce((sum, { output }) => sum + bytesOf(types.get(output![0]!)), 0);
}

/** At most what waits for gradients: all forward values but those that are computed again. */
function keptBytes({ nodes, types }: ForwardGraph, recomputed: ReadonlySet<string>): number {
  return nodes
    .flatMap(({ output = [] }) => output)
    .reduce((sum, name) => sum + (recomputed.has(name) ? 0 : bytesOf(types.get(name))), 0);
}
