/** @file Substitution scores of alignments. */

import type { Alphabet } from '../../data/sequenceRecord.ts';

/** Scores of an alignment and parameters of the search for candidates. */
export interface Scoring {
  /** Alphabet; unknown letters count as its last. */
  readonly letters: string;
  /** Letters mapped to letters of the alphabet. */
  readonly relatives: Readonly<Record<string, string>>;
  /** Substitution scores `[letters × letters]`. */
  readonly scores: Int8Array;
  /** Letters from this index on are ambiguous and identical to nothing. */
  readonly certain: number;
  readonly gapOpen: number;
  readonly gapExtend: number;
  /** Reduced alphabet of words. */
  readonly groups: readonly string[];
  /** Spaced seed, such as `11011`; longer seeds have far fewer chance hits. */
  readonly word: string;
  readonly longWord: string;
  /** Minimum score of an ungapped segment that is aligned. */
  readonly pieceScore: number;
  /** Minimum score beyond chance; for very short sequences, per letter. */
  readonly chanceScore: number;
  readonly chancePerLetter: number;
}

// The upper half would do; it stands in full so that it can be compared with other copies.
// prettier-ignore
const blosum62 = Int8Array.of(
   4,-1,-2,-2, 0,-1,-1, 0,-2,-1,-1,-1,-1,-2,-1, 1, 0,-3,-2, 0,-2,-1, 0,
  -1, 5, 0,-2,-3, 1, 0,-2, 0,-3,-2, 2,-1,-3,-2,-1,-1,-3,-2,-3,-1, 0,-1,
  -2, 0, 6, 1,-3, 0, 0, 0, 1,-3,-3, 0,-2,-3,-2, 1, 0,-4,-2,-3, 3, 0,-1,
  -2,-2, 1, 6,-3, 0, 2,-1,-1,-3,-4,-1,-3,-3,-1, 0,-1,-4,-3,-3, 4, 1,-1,
   0,-3,-3,-3, 9,-3,-4,-3,-3,-1,-1,-3,-1,-2,-3,-1,-1,-2,-2,-1,-3,-3,-2,
  -1, 1, 0, 0,-3, 5, 2,-2, 0,-3,-2, 1, 0,-3,-1, 0,-1,-2,-1,-2, 0, 3,-1,
  -1, 0, 0, 2,-4, 2, 5,-2, 0,-3,-3, 1,-2,-3,-1, 0,-1,-3,-2,-2, 1, 4,-1,
   0,-2, 0,-1,-3,-2,-2, 6,-2,-4,-4,-2,-3,-3,-2, 0,-2,-2,-3,-3,-1,-2,-1,
  -2, 0, 1,-1,-3, 0, 0,-2, 8,-3,-3,-1,-2,-1,-2,-1,-2,-2, 2,-3, 0, 0,-1,
  -1,-3,-3,-3,-1,-3,-3,-4,-3, 4, 2,-3, 1, 0,-3,-2,-1,-3,-1, 3,-3,-3,-1,
  -1,-2,-3,-4,-1,-2,-3,-4,-3, 2, 4,-2, 2, 0,-3,-2,-1,-2,-1, 1,-4,-3,-1,
  -1, 2, 0,-1,-3, 1, 1,-2,-1,-3,-2, 5,-1,-3,-1, 0,-1,-3,-2,-2, 0, 1,-1,
  -1,-1,-2,-3,-1, 0,-2,-3,-2, 1, 2,-1, 5, 0,-2,-1,-1,-1,-1, 1,-3,-1,-1,
  -2,-3,-3,-3,-2,-3,-3,-3,-1, 0, 0,-3, 0, 6,-4,-2,-2, 1, 3,-1,-3,-3,-1,
  -1,-2,-2,-1,-3,-1,-1,-2,-2,-3,-3,-1,-2,-4, 7,-1,-1,-4,-3,-2,-2,-1,-2,
   1,-1, 1, 0,-1, 0, 0, 0,-1,-2,-2, 0,-1,-2,-1, 4, 1,-3,-2,-2, 0, 0, 0,
   0,-1, 0,-1,-1,-1,-1,-2,-2,-1,-1,-1,-1,-2,-1, 1, 5,-2,-2, 0,-1,-1, 0,
  -3,-3,-4,-4,-2,-2,-3,-2,-2,-3,-2,-3,-1, 1,-4,-3,-2,11, 2,-3,-4,-3,-2,
  -2,-2,-2,-3,-2,-1,-2,-3, 2,-1,-1,-2,-1, 3,-3,-2,-2, 2, 7,-1,-3,-2,-1,
   0,-3,-3,-3,-1,-2,-2,-3,-3, 3, 1,-2, 1,-1,-2,-2, 0,-3,-1, 4,-3,-2,-1,
  -2,-1, 3, 4,-3, 0, 1,-1, 0,-3,-4, 0,-3,-3,-2, 0,-1,-4,-3,-3, 4, 1,-1,
  -1, 0, 0, 1,-3, 3, 4,-2, 0,-3,-3, 1,-1,-3,-1, 0,-1,-3,-2,-2, 1, 4,-1,
   0,-1,-1,-1,-2,-1,-1,-1,-1,-1,-1,-1,-1,-1,-2, 0, 0,-2,-1,-1,-1,-1,-1,
);

/** BLOSUM62 (Henikoff and Henikoff 1992), gap penalties 11 and 1; words of four or five letters from 13 groups. */
const proteins: Scoring = {
  letters: 'ARNDCQEGHILKMFPSTWYVBZX',
  // Selenocysteine, pyrrolysine, leucine or isoleucine.
  relatives: { U: 'C', O: 'K', J: 'L' },
  scores: blosum62,
  certain: 20,
  gapOpen: 11,
  gapExtend: 1,
  groups: ['ST', 'IV', 'LM', 'KR', 'EQ', 'DN', 'FY', 'A', 'C', 'G', 'H', 'P', 'W'],
  word: '11011',
  longWord: '1101011',
  pieceScore: 30,
  chanceScore: 50,
  chancePerLetter: 3,
};

/** DNA and RNA, U as T: 5 for a match, -4 for a mismatch; PatternHunter's word (Ma, Tromp and Li 2002). */
const bases: Scoring = {
  letters: 'ACGTN',
  relatives: { U: 'T' },
  scores: Int8Array.from({ length: 25 }, (_, i) => (i >= 20 || i % 5 === 4 ? -2 : i % 6 === 0 ? 5 : -4)),
  certain: 4,
  gapOpen: 12,
  gapExtend: 4,
  groups: ['A', 'C', 'G', 'T'],
  word: '111010010100110111',
  longWord: '111010010100110111',
  pieceScore: 70,
  chanceScore: 90,
  chancePerLetter: 3.5,
};

/** The scoring of an alphabet. */
export function scoringOf(alphabet: Exclude<Alphabet, 'smiles'>): Scoring {
  return alphabet === 'protein' ? proteins : bases;
}

/** Letter codes of a sequence: indexes into {@link Scoring.scores}. */
export function codesOf(sequence: string, { letters, relatives }: Scoring): Uint8Array {
  const codes = new Uint8Array(sequence.length);
  for (let at = 0; at < sequence.length; at++) {
    const letter = sequence[at]!;
    const code = letters.indexOf(relatives[letter] ?? letter);
    codes[at] = code < 0 ? letters.length - 1 : code;
  }
  return codes;
}
