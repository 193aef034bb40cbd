/** @file Protein tokenizers with single letters, separated by blanks in text. */

import { type SequenceTokens, type Vocabulary, VocabularyTokenizer } from './sequenceTokenizer.ts';

/** Rare amino acids, unknown to ProtBERT and ProtT5. */
const rare: ReadonlySet<string> = new Set('UZOB');
const aminoAcids = 'ACDEFGHIKLMNPQRSTVWY';
/** Most letters in the cache. */
const MOST_KNOWN = 4096;

/** Spelling of letters in the vocabulary. */
export interface LetterSpelling {
  /** Prefix of each letter: SentencePiece's `▁`. */
  readonly prefix?: string;
  readonly isLowerCase?: boolean;
}

/**
 * One token per letter, for vocabularies that transformers reads as words: ProtBERT's and ProtT5's, which write `M K T
 * A`. Input has no blanks: `MKTA`. The rare U, Z, O and B become X if it exists, as in the training of both models.
 * @see Elnaggar et al., "ProtTrans" (2021), section 2.2, https://doi.org/10.1109/TPAMI.2021.3095381
 */
export class LetterTokenizer extends VocabularyTokenizer {
  readonly isPerLetter = true;
  readonly #ids = new Map<string, number>();
  readonly #spelling: LetterSpelling;
  /** In RNA, U is not rare. */
  readonly #isProtein: boolean;

  constructor(vocabulary: Vocabulary, spelling: LetterSpelling = {}) {
    super(vocabulary);
    this.#spelling = spelling;
    this.#isProtein = [...aminoAcids].every((letter) => this.idOf(this.#spelled(letter)) !== undefined);
  }

  /** Skips blanks; unknown letters become the unknown token. Throws `DATA_INVALID` without one. */
  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    let at = 0;
    for (const letter of text) {
      const end = at + letter.length;
      if (!/\s/.test(letter)) {
        ids.push(this.#idOf(letter));
        starts.push(at);
        ends.push(end);
      }
      at = end;
    }
    return { ids, starts, ends };
  }

  #idOf(letter: string): number {
    const known = this.#ids.get(letter);
    if (known !== undefined) return known;
    const spelled = this.#spelled(this.#isProtein && rare.has(letter) ? 'X' : letter);
    const id = this.idOf(spelled) ?? this.idOrUnknown(this.#spelled(letter));
    if (this.#ids.size < MOST_KNOWN) this.#ids.set(letter, id);
    return id;
  }

  #spelled(letter: string): string {
    const { prefix = '', isLowerCase = false } = this.#spelling;
    return prefix + (isLowerCase ? letter.toLowerCase() : letter);
  }
}
