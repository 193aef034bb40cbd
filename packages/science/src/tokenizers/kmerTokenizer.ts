/** @file DNABERT's tokenizer: words of k bases that overlap. */

import type { SequenceTokens } from './sequenceTokenizer.ts';
import { type Vocabulary, VocabularyTokenizer } from './vocabularyTokenizer.ts';

/**
 * Every k bases in a row are a token, and the next token begins one base later, as DNABERT reads DNA. A k-mer with other letters
 * than A, C, G and T is unknown, as is a sequence that is shorter than k.
 *
 * @see Ji et al., "DNABERT" (2021), https://doi.org/10.1093/bioinformatics/btab083
 */
export class KmerTokenizer extends VocabularyTokenizer {
  readonly isPerLetter = false;
  readonly #k: number;

  constructor(vocabulary: Vocabulary, k: number) {
    super(vocabulary);
    this.#k = k;
  }

  /** Token i stands for the letters from i to i + k; blanks are not taken for letters. */
  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    const places = Array.from({ length: text.length }, (_, i) => i).filter((i) => !/\s/.test(text[i]!));
    const bases = places.map((i) => text[i]!).join('');
    const last = Math.max(bases.length - this.#k, bases.length > 0 ? 0 : -1);
    for (let from = 0; from <= last; from++) {
      const kmer = bases.slice(from, from + this.#k);
      ids.push(this.idOrUnknown(kmer));
      starts.push(places[from]!);
      ends.push(places[from + kmer.length - 1]! + 1);
    }
    return { ids, starts, ends };
  }
}
