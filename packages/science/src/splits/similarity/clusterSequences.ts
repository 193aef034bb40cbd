/** @file Clusters similar sequences. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Alphabet } from '../../data/sequenceRecord.ts';
import { SimilarSequences } from './similarSequences.ts';

/** Union-find over the numbers from 0 to `count - 1`. */
export class LinkedSets {
  readonly #parents: number[];

  constructor(count: number) {
    this.#parents = Array.from({ length: count }, (_, i) => i);
  }

  /** The least number of a number's set. */
  first(number: number): number {
    const parents = this.#parents;
    let at = number;
    while (parents[at]! !== at) {
      // Path halving.
      parents[at] = parents[parents[at]!]!;
      at = parents[at]!;
    }
    return at;
  }

  link(a: number, b: number): void {
    const [one, other] = [this.first(a), this.first(b)];
    this.#parents[Math.max(one, other)] = Math.min(one, other);
  }
}

/** Identity from which a sequence adds nothing to the index beyond its relative. */
const REDUNDANT = 0.9;

/** Options of {@link clusterSequences}. */
export interface ClusterOptions {
  /** Minimum share of identical letters in the shorter sequence; 0.3 for proteins, 0.8 for DNA and RNA. */
  readonly identity?: number | undefined;
  /** `protein` by default. */
  readonly alphabet?: Exclude<Alphabet, 'smiles'> | undefined;
  /**
   * Members resemble the cluster's `representative`, its longest sequence (the default), or any `member`, so that
   * similar sequences are never in two clusters.
   */
  readonly like?: 'representative' | 'member' | undefined;
}

/** The default identity of similar sequences. */
export function usualIdentity(alphabet: Alphabet): number {
  return alphabet === 'protein' ? 0.3 : 0.8;
}

/**
 * Clusters similar sequences: the longest come first, and each joins the cluster of a similar one or starts its own.
 * Returns the index of the longest member of each sequence's cluster. The order of the input does not matter.
 *
 * Finds similar sequences by words, then by alignment: docs/concepts/sequence-clusters.md tells how, and what it
 * misses.
 * @throws OnnxLoraError `INPUT_INVALID` for an identity outside of (0, 1]
 * @see Li and Godzik, "Cd-hit" (2006); Steinegger and Söding, "Clustering huge protein sequence sets in linear time"
 * (2018)
 */
export function clusterSequences(sequences: readonly string[], options: ClusterOptions = {}): number[] {
  const { alphabet = 'protein', identity = usualIdentity(alphabet), like = 'representative' } = options;
  if (!(identity > 0 && identity <= 1)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `identity is ${identity}, but must be above 0 and at most 1, such as 0.3.`,
    );
  }
  const firsts = new Map<string, number>();
  for (const [i, sequence] of sequences.entries()) if (!firsts.has(sequence)) firsts.set(sequence, i);
  const order = [...firsts.keys()].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const clusters =
    like === 'representative' ? nearRepresentatives(order, alphabet, identity) : nearMembers(order, alphabet, identity);
  const numbers = new Map(order.map((sequence, i) => [sequence, firsts.get(order[clusters[i]!]!)!]));
  return sequences.map((sequence) => numbers.get(sequence)!);
}

function nearRepresentatives(
  sequences: readonly string[],
  alphabet: Exclude<Alphabet, 'smiles'>,
  identity: number,
): number[] {
  const known = new SimilarSequences(alphabet, identity, lettersIn(sequences));
  const representatives: number[] = [];
  return sequences.map((sequence, i) => {
    const codes = known.codes(sequence);
    for (const { number } of known.like(codes)) return representatives[number]!;
    known.add(codes);
    representatives.push(i);
    return i;
  });
}

function nearMembers(sequences: readonly string[], alphabet: Exclude<Alphabet, 'smiles'>, identity: number): number[] {
  const known = new SimilarSequences(alphabet, identity, lettersIn(sequences));
  const added: number[] = [];
  const sets = new LinkedSets(sequences.length);
  for (const [i, sequence] of sequences.entries()) {
    const codes = known.codes(sequence);
    let isRedundant = false;
    // Sequences of its own cluster are skipped.
    for (const found of known.like(codes, (number) => sets.first(added[number]!) !== sets.first(i))) {
      sets.link(added[found.number]!, i);
      isRedundant ||= found.identity >= REDUNDANT;
    }
    if (isRedundant) continue;
    known.add(codes);
    added.push(i);
  }
  return sequences.map((_, i) => sets.first(i));
}

/** Number of letters in all sequences. */
export function lettersIn(sequences: readonly string[]): number {
  return sequences.reduce((sum, { length }) => sum + length, 0);
}
