/** @file Spells and checks the sequences of records. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { AlphabetGuess, spelled } from './letters.ts';
import type { Alphabet, SequenceRecord } from './sequenceRecord.ts';
import type { SequencePart } from './sequencePart.ts';

/** Which letters are meant, of sequences and of those that make pairs with them. */
export interface Alphabets {
  readonly first: Alphabet;
  readonly second: Alphabet;
}

/** Finds out what the letters of some parts stand for. */
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

/** Spells the sequences of records as models know them, and counts what it changed. */
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

  /**
   * A record with its sequences spelled; undefined where letters do not belong and such records are left out. Labels of residues
   * that stand at gaps go with them.
   *
   * @throws OnnxLoraError `DATA_INVALID`, naming record, column, letter and position
   */
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

  /** What the user should know of what was changed. */
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

/** The labels of the letters that are left. */
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
