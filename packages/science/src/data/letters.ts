/** @file Alphabets of sequences: guesses them, normalises and checks records. */

import type { Alphabet, SequencePart, SequenceRecord } from './sequenceRecord.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Characters of SMILES that proteins and nucleic acids lack. */
const SMILES_SIGN = /[0-9()[\]=#]/;
/** Tokens of SMILES: bracket atoms, organic atoms, bonds, branches and rings. */
const SMILES = /^(?:\[[^\]\s]*\]|Br|Cl|[BCNOPSFIbcnops]|[-=#$:/\\.()%0-9*@+~>])+(?:\[[^\]\s]*)?$/;
/** Prefix length that decides on SMILES. */
const SMILES_LENGTH = 500;
/** Minimum share of A, C, G, T, U and N in nucleic acids with IUPAC codes. */
const NUCLEIC = 0.9;

/** Illegal letters of each alphabet; `-` and `.` are gaps. */
const illegalLetters: Readonly<Record<Alphabet, RegExp>> = {
  protein: /[^A-Z]/u,
  // Includes IUPAC's ambiguity codes.
  dna: /[^ACGTRYSWKMBDHVN]/u,
  rna: /[^ACGURYSWKMBDHVN]/u,
  smiles: /[^A-Za-z0-9()[\]=#@+\-/\\%$:.~*>]/u,
};

/** Guesses the alphabet from letter counts. */
export class AlphabetGuess {
  #sequences = 0;
  #smiles = 0;
  #hasSmilesSign = false;
  /** By char code, upper case. */
  readonly #counts = new Float64Array(128);

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

  /** SMILES if most sequences parse as such, nucleic acids if all letters may be bases. */
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

interface Spelled {
  readonly text: string;
  readonly hadGaps: boolean;
  readonly hadStop: boolean;
  /** Whether U was read as T, or T as U. */
  readonly wasExchanged: boolean;
}

interface IllegalLetter {
  readonly letter: string;
  /** From 1. */
  readonly position: number;
}

/**
 * Normalises a sequence: capitals; no blanks, gaps or final `*`; U in RNA, T in DNA. SMILES stay as they are.
 * @returns the first illegal letter, if any
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
  // The position in the original text, without the final stop.
  const last = hadStop ? exchanged.lastIndexOf('*') : exchanged.length;
  const place = Array.from(exchanged.slice(0, last)).findIndex(
    (letter) => !/[-.\s]/.test(letter) && illegalLetters[alphabet].test(letter),
  );
  return { letter: [...text][place]!, position: place + 1 };
}

/** Alphabets of sequences and of their partners in pairs. */
export interface Alphabets {
  readonly first: Alphabet;
  readonly second: Alphabet;
}

/** The alphabets of all parts: given, named by a column, or guessed. */
export function alphabetsOf(parts: readonly SequencePart[], given?: Alphabet): Alphabets {
  const [first, second] = [new AlphabetGuess(), new AlphabetGuess()];
  for (const { records } of parts) {
    for (const record of records) {
      first.add(record.sequence);
      if (record.second !== undefined) second.add(record.second);
    }
  }
  const named = parts.find(({ alphabet }) => alphabet !== undefined)?.alphabet;
  return { first: given ?? named ?? first.alphabet, second: second.alphabet };
}

/** Normalises the sequences of records and counts the changes for warnings. */
export class SequenceSpeller {
  readonly #alphabets: Alphabets;
  readonly #illegal: 'error' | 'skip';
  #gaps = 0;
  #stops = 0;
  #exchanged = 0;
  #skipped = 0;
  #example: string | undefined;

  constructor(alphabets: Alphabets, illegal: 'error' | 'skip' = 'error') {
    this.#alphabets = alphabets;
    this.#illegal = illegal;
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming record, column, letter and position; undefined for skipped records */
  spell(record: SequenceRecord, { columns }: Pick<SequencePart, 'columns'>): SequenceRecord | undefined {
    const sequence = this.#text(record, record.sequence, this.#alphabets.first, columns?.sequence);
    const second =
      record.second === undefined
        ? undefined
        : this.#text(record, record.second, this.#alphabets.second, columns?.second);
    if (sequence === undefined || (second === undefined && record.second !== undefined)) return undefined;
    const residues = record.residues && labelsOfLetters(record, sequence, this.#alphabets.first, columns?.residues);
    return {
      ...record,
      sequence,
      ...(second === undefined ? {} : { second }),
      ...(residues ? { residues } : {}),
    };
  }

  get warnings(): string[] {
    const { first } = this.#alphabets;
    const [other, own] = first === 'rna' ? ['T', 'U'] : ['U', 'T'];
    return [
      ...(this.#gaps > 0 ? [`Gaps ("-" and ".") were left out of ${sequences(this.#gaps)}.`] : []),
      ...(this.#stops > 0 ? [`A stop codon ("*") at the end was left out of ${sequences(this.#stops)}.`] : []),
      ...(this.#exchanged > 0 ? [`${other} was read as ${own} in ${sequences(this.#exchanged)}.`] : []),
      ...(this.#skipped > 0
        ? [`${sequences(this.#skipped)} with letters that do not belong were left out, such as ${this.#example}`]
        : []),
    ];
  }

  #text(record: SequenceRecord, text: string, alphabet: Alphabet, column: string | undefined): string | undefined {
    const found = spelled(text, alphabet);
    if ('text' in found && found.text !== '') {
      if (found.hadGaps) this.#gaps++;
      if (found.hadStop) this.#stops++;
      if (found.wasExchanged) this.#exchanged++;
      return found.text;
    }
    const place = column === undefined ? record.where : `${record.where}, column "${column}"`;
    if ('text' in found) {
      throw new OnnxLoraError('DATA_INVALID', `${place}: the sequence is empty. Add it, or remove the record.`);
    }
    const { letter, position } = found;
    const problem = `${place}: ${JSON.stringify(letter)} at position ${position} is ${meanings[alphabet]}.`;
    if (this.#illegal === 'skip') {
      this.#skipped++;
      this.#example ??= problem;
      return undefined;
    }
    const remedy =
      letter === '*'
        ? 'Cut the sequence at the stop codon'
        : alphabet === 'smiles' && /\s/.test(letter)
          ? 'Keep the name of the molecule in a column of its own'
          : 'Correct it';
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${problem} ${remedy}; or say what the letters stand for (alphabet: protein, dna, rna or smiles), or leave such records out (illegal: 'skip', on the command line --set illegal=skip).`,
    );
  }
}

const meanings: Readonly<Record<Alphabet, string>> = {
  protein: 'no residue',
  dna: 'no base of DNA',
  rna: 'no base of RNA',
  smiles: 'no sign of SMILES',
};

function sequences(count: number): string {
  return count === 1 ? '1 sequence' : `${count} sequences`;
}

/** Labels without those at gaps. */
function labelsOfLetters(
  { sequence, residues, where }: SequenceRecord,
  text: string,
  alphabet: Alphabet,
  column: string | undefined,
): SequenceRecord['residues'] {
  const labels = residues!;
  if (labels.length === text.length) return labels;
  if (labels.length === sequence.length && alphabet !== 'smiles')
    return labels.filter((_, i) => /[^-.\s]/.test(sequence[i]!)).slice(0, text.length);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}${column === undefined ? '' : `, column "${column}"`}: there are labels for ${labels.length} residues, but the sequence has ${text.length}. Give every residue a label; where one is not known, an empty place in a list, or null.`,
  );
}
