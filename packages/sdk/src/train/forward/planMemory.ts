/** @file Chooses the forward values to keep for gradients, and those to recompute. */

import { recomputedValues } from './checkpoints.ts';
import { chunkAttention, type Chunks } from './chunkAttention.ts';
import { bytesOf, type ForwardGraph } from './forwardGraph.ts';

/** Bytes kept for gradients, or `auto`: all but scores of long sequences. Less costs up to a third of a step's time. */
export type Memory = 'auto' | number;

/** Limit of kept attention weights with `auto`; with a budget, half of it. */
const ATTENTION_BYTES = 128 << 20;
/** The same per piece of a batch, as other pieces' are not in memory at the time; at most twice the limit. */
const PIECE_BYTES = 32 << 20;
/** Bytes of a chunk's scores: small relative to everything else, large enough for fast products. */
const PART_BYTES = 32 << 20;

/** Input of differentiation, with the forward nodes. */
export interface MemoryPlan extends Pick<ForwardGraph, 'nodes'> {
  readonly recomputed: ReadonlySet<string>;
  readonly follows: ReadonlyMap<string, readonly string[]>;
}

/** Chunks large attention, and chooses values to recompute. @param pieces graphs run in sequence per batch */
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

/** Number of first layers that recompute attention weights, so that the others' take at most `most` bytes. */
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

/** Upper bound of bytes waiting for gradients: all forward values that are not recomputed. */
function keptBytes({ nodes, types }: ForwardGraph, recomputed: ReadonlySet<string>): number {
  return nodes
    .flatMap(({ output = [] }) => output)
    .reduce((sum, name) => sum + (recomputed.has(name) ? 0 : bytesOf(types.get(name))), 0);
}
