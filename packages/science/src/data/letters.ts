/** @file What letters of sequences stand for, and how they are spelled. */

import type { Alphabet } from './sequenceRecord.ts';

/** Signs that SMILES have and proteins and nucleic acids do not. */
const SMILES_SIGN = /[0-9()[\]=#]/;
/** What SMILES are made of: atoms in brackets, the organic ones without, bonds, branches and rings. */
const SMILES = /^(?:\[[^\]\s]*\]|Br|Cl|[BCNOPSFIbcnops]|[-=#$:/\\.()%0-9*@+~>])+(?:\[[^\]\s]*)?$/;
/** Letters of a sequence that tell whether it is SMILES. */
const SMILES_LENGTH = 500;
/** The share of A, C, G, T, U and N from which sequences of nothing but IUPAC's nucleotide codes are nucleic acids. */
const NUCLEIC = 0.9;

/** What does not belong into a sequence; `-` and `.` are gaps. */
const illegalLetters: Readonly<Record<Alphabet, RegExp>> = {
  protein: /[^A-Z]/u,
  // IUPAC's codes for several bases among them.
  dna: /[^ACGTRYSWKMBDHVN]/u,
  rna: /[^ACGURYSWKMBDHVN]/u,
  smiles: /[^A-Za-z0-9()[\]=#@+\-/\\%$:.~*>]/u,
};

/** Counts letters, to tell what they stand for. */
export class AlphabetGuess {
  #sequences = 0;
  #smiles = 0;
  #hasSmilesSign = false;
  /** By code, in capitals. */
  readonly #counts = new Float64Array(128);

  /** Looks at one more sequence. */
  add(sequence: string): void {
    this.#sequences++;
    const start = sequence.slice(0, SMILES_LENGTH);
    if (SMILES.test(start)) {
      this.#smiles++;
      this.#hasSmilesSign ||= SMILES_SIGN.test(start);
    }
    const capitals = sequence.toUpperCase();
    for (let i = 0; i < capitals.length; i++) {
      const code = capitals.charCodeAt(i);
      if (code < 128) this.#counts[code]!++;
    }
  }

  /** What the letters are likely to stand for: SMILES if most are made of their signs, nucleic acids if all letters may be bases. */
  get alphabet(): Alphabet {
    if (this.#hasSmilesSign && this.#smiles > this.#sequences / 2) return 'smiles';
    const count = (letters: string): number =>
      [...letters].reduce((sum, letter) => sum + this.#counts[letter.charCodeAt(0)]!, 0);
    const all = count('ABCDEFGHIJKLMNOPQRSTUVWXYZ');
    const isNucleic = all > 0 && count('EFIJLOPQXZ') === 0 && count('ACGTUN') >= NUCLEIC * all;
    if (!isNucleic) return 'protein';
    return count('U') > count('T') ? 'rna' : 'dna';
  }
}

/** A sequence as models know it, and what was changed for that. */
export interface Spelled {
  readonly text: string;
  /** True where gaps were left out. */
  readonly hadGaps: boolean;
  /** True where a stop codon at the end was left out. */
  readonly hadStop: boolean;
  /** True where U was read as T, or T as U. */
  readonly wasExchanged: boolean;
}

/** A letter that does not belong. */
export interface IllegalLetter {
  readonly letter: string;
  /** Its place in the text, from 1. */
  readonly position: number;
}

/**
 * Spells a sequence: in capitals, without blanks, gaps and a stop codon (`*`) at its end; U for T in RNA, and T for U in DNA. SMILES
 * stay as they are.
 *
 * @returns the first letter that does not belong, where there is one
 */
export function spelled(text: string, alphabet: Alphabet): Spelled | IllegalLetter {
  if (alphabet === 'smiles') {
    const illegal = illegalLetters.smiles.exec(text);
    if (illegal) return { letter: illegal[0], position: illegal.index + 1 };
    return { text, hadGaps: false, hadStop: false, wasExchanged: false };
  }
  const capitals = text.toUpperCase();
  const [other, own] = alphabet === 'rna' ? ['T', 'U'] : ['U', 'T'];
  const wasExchanged = alphabet !== 'protein' && capitals.includes(other);
  const exchanged = wasExchanged ? capitals.replaceAll(other, own) : capitals;
  const ungapped = exchanged.replaceAll(/[-.]/g, '');
  const hadGaps = ungapped.length < exchanged.length;
  const letters = ungapped.replaceAll(/\s/g, '');
  const hadStop = alphabet === 'protein' && letters.endsWith('*');
  const whole = hadStop ? letters.slice(0, -1) : letters;
  if (!illegalLetters[alphabet].test(whole)) return { text: whole, hadGaps, hadStop, wasExchanged };
  // The place in the text as the user has it, a stop at the end aside.
  const last = hadStop ? exchanged.lastIndexOf('*') : exchanged.length;
  const place = Array.from(exchanged.slice(0, last)).findIndex(
    (letter) => !/[-.\s]/.test(letter) && illegalLetters[alphabet].test(letter),
  );
  return { letter: [...text][place]!, position: place + 1 };
}
