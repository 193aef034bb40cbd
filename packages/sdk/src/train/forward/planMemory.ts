/** @file Decides what of the forward values a step keeps for its gradients, and what it computes again. */

import { recomputedValues } from './checkpoints.ts';
import { chunkAttention, type Chunks } from './chunkAttention.ts';
import { bytesOf, type ForwardGraph } from './forwardGraph.ts';

/**
 * How many bytes forward values may take while they wait for their gradients. `auto` keeps them all, except scores of
 * attention over long sequences. With a number, more is computed again until they fit: a step then takes up to a third
 * longer.
 */
export type Memory = 'auto' | number;

/** Bytes that attention weights may take in all, with `auto`, beyond which they are computed again; of a budget, they may take half. */
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
  const { inside, follows } = chunkAttention(graph, Math.min(PART_BYTES, budget / 8));
  const again = attentionAgain(graph, inside, memory === 'auto' ? most : memory / 2);
  const valuesOf = (sets: readonly ReadonlySet<string>[]): string[] => sets.flatMap((names) => [...names]);
  const scores = again > 0 ? valuesOf(inside) : [];
  const tries: readonly (() => readonly string[])[] = [
    () => valuesOf(inside.slice(0, again)),
    () => scores,
    () => [...scores, ...recomputedValues(graph, 'cheap')],
    () => [...scores, ...recomputedValues(graph, 'all')],
  ];
  let recomputed: ReadonlySet<string> = new Set();
  for (const each of tries) {
    recomputed = new Set(each());
    if (keptBytes(graph, recomputed) <= budget) break;
  }
  return { nodes: graph.nodes, recomputed, follows };
}

/**
 * How many layers compute their attention weights again, so that those of the others take no more than `most` bytes: the first
 * ones, whose gradients come last, when little else is kept.
 */
function attentionAgain({ nodes, types }: ForwardGraph, inside: Chunks['inside'], most: number): number {
  const weights = new Map(
    nodes
      .filter(({ opType }) => opType === 'Softmax')
      .map(({ output }) => [output![0]!, bytesOf(types.get(output![0]!))]),
  );
  let kept = [...weights.values()].reduce((sum, bytes) => sum + bytes, 0);
  let again = 0;
  for (; kept > most && again < inside.length; again++)
    for (const name of inside[again]!) kept -= weights.get(name) ?? 0;
  return again;
}

/** At most what waits for gradients: all forward values but those that are computed again. */
function keptBytes({ nodes, types }: ForwardGraph, recomputed: ReadonlySet<string>): number {
  return nodes
    .flatMap(({ output = [] }) => output)
    .reduce((sum, name) => sum + (recomputed.has(name) ? 0 : bytesOf(types.get(name))), 0);
}
