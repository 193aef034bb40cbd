/** @file Finds similar sequences: candidates by k-mers, then alignment. */

import type { Alphabet } from '../../data/sequenceRecord.ts';
import { LocalAligner } from './localAlignment.ts';
import { codesOf, type Scoring, scoringOf } from './scoring.ts';
import { type SimilarCandidate, KmerIndex } from './kmerIndex.ts';

/** Failed alignments in a row that end the search: the best candidates come first. */
const MOST_IN_VAIN = 8;
/** From so many letters, or this identity, longer words suffice. */
const MANY_LETTERS = 1_500_000;
const CLOSE = 0.5;

/** Finds similar sequences among those added. */
export class SimilarSequences {
  readonly #scoring: Scoring;
  readonly #index: KmerIndex;
  readonly #aligner: LocalAligner;
  readonly #identity: number;

  /**
   * @param identity minimum share of identical letters in the shorter sequence
   * @param letters approximate total of all sequences
   */
  constructor(alphabet: Exclude<Alphabet, 'smiles'>, identity: number, letters: number) {
    this.#scoring = scoringOf(alphabet);
    const { word, longWord } = this.#scoring;
    this.#index = new KmerIndex(this.#scoring, letters > MANY_LETTERS || identity >= CLOSE ? longWord : word);
    this.#aligner = new LocalAligner(this.#scoring);
    this.#identity = identity;
  }

  /** Encodes a sequence for the other methods. */
  codes(sequence: string): Uint8Array {
    return codesOf(sequence, this.#scoring);
  }

  /** Adds a sequence; returns its number, from 0. */
  add(codes: Uint8Array): number {
    return this.#index.add(codes);
  }

  /** Similar added sequences with their identity, the most promising first; computed lazily. */
  *like(
    codes: Uint8Array,
    isWanted: (number: number) => boolean = () => true,
  ): Generator<{ readonly number: number; readonly identity: number }> {
    let inVain = 0;
    for (const candidate of this.#index.candidates(codes)) {
      if (!isWanted(candidate.number)) continue;
      const identity = this.#identityWith(codes, candidate);
      if (identity >= this.#identity) {
        yield { number: candidate.number, identity };
        inVain = 0;
      } else if (++inVain === MOST_IN_VAIN) return;
    }
  }

  /** Identity; 0 for an alignment no better than chance. */
  #identityWith(codes: Uint8Array, { number, diagonal }: SimilarCandidate): number {
    const other = this.#index.sequence(number);
    const shorter = Math.min(codes.length, other.length);
    const { score, identical } = this.#aligner.align(codes, other, diagonal);
    const { chanceScore, chancePerLetter } = this.#scoring;
    return score < Math.min(chanceScore, chancePerLetter * shorter) ? 0 : identical / shorter;
  }
}
