/** @file Converts table rows to records. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { cellList, cellError, cellText, type Row } from '@onnx-lora/sdk/data';
import { isMissing, numberOf, splitOf, targetsOf } from '@onnx-lora/sequences';
import { mutated, mutationsBetween, parseMutations } from '../mutations.ts';
import type { SequenceNeed, SequenceRecord, Substitution } from '../sequenceRecord.ts';
import type { WildType } from '../wildType.ts';
import type { FoundColumns } from './sequenceColumns.ts';

export interface RowOptions {
  readonly columns: FoundColumns;
  readonly needs?: readonly SequenceNeed[] | undefined;
  readonly wildType?: WildType | undefined;
  readonly firstPosition?: number | undefined;
  /** Validation fold if the split column has numbers. */
  readonly fold?: number | undefined;
}

export class RowReader {
  readonly #options: RowOptions;
  #number = 0;
  #wildType: string | undefined;
  #misfits = 0;

  constructor(options: RowOptions) {
    this.#options = options;
    this.#wildType = options.wildType?.sequence;
  }

  /** The wild type, possibly derived from the first mutated sequence. */
  get wildType(): string | undefined {
    return this.#wildType;
  }

  /** Number of rows whose sequence lacks their mutations. */
  get misfits(): number {
    return this.#misfits;
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming row, column and remedy */
  read(row: Row, isTarget = true): SequenceRecord {
    const { columns, fold } = this.#options;
    this.#number++;
    const text = (column: string | undefined): string | undefined =>
      column === undefined ? undefined : cellText(row, column);
    const variant = this.#variant(row, text(columns.sequence));
    const second = text(columns.second);
    if (second === undefined && columns.second !== undefined)
      throw cellError(row, columns.second, '', 'a sequence', 'Add it, or remove the row');
    const group = text(columns.group);
    const id = text(columns.id) ?? text(columns.mutations ?? columns.sites) ?? String(this.#number);
    return {
      id,
      ...variant,
      ...(second === undefined ? {} : { second }),
      ...(isTarget ? this.#targets(row, variant.sequence) : {}),
      ...(group === undefined ? {} : { group }),
      ...(isTarget ? splitOf(row, columns, fold) : {}),
      where: row.place,
    };
  }

  #variant(row: Row, sequence: string | undefined): Pick<SequenceRecord, 'sequence' | 'substitutions'> {
    const { columns, wildType, firstPosition = 1 } = this.#options;
    const { mutations, sites } = columns;
    if (columns.sequence !== undefined && sequence === undefined)
      throw cellError(row, columns.sequence, '', 'a sequence', 'Add it, or remove the row');
    if (mutations !== undefined) {
      const place = `${row.place}, column "${mutations}"`;
      const found = parseMutations(cellText(row, mutations) ?? '', place).map((each): Substitution => ({
        ...each,
        position: each.position - firstPosition + 1,
      }));
      if (sequence !== undefined) return this.#written(sequence, found);
      if (wildType === undefined) throw noWildType(row, mutations);
      return { sequence: mutated(wildType.sequence, found, place, firstPosition), substitutions: found };
    }
    if (sites !== undefined && wildType?.sites && sequence === undefined) {
      const text = atSites(wildType.sequence, wildType.sites, row, sites);
      return { sequence: text, substitutions: mutationsBetween(wildType.sequence, text) };
    }
    return { sequence: sequence! };
  }

  #written(sequence: string, found: readonly Substitution[]): Pick<SequenceRecord, 'sequence' | 'substitutions'> {
    if (found.some(({ position, to }) => sequence[position - 1]?.toUpperCase() !== to)) {
      this.#misfits++;
      return { sequence };
    }
    if (this.#wildType === undefined) {
      const letters = [...sequence.toUpperCase()];
      for (const { from, position } of found) letters[position - 1] = from;
      this.#wildType = letters.join('');
    }
    return { sequence, substitutions: found };
  }

  #targets(row: Row, sequence: string): Pick<SequenceRecord, 'labels' | 'values' | 'residues'> {
    const { columns, needs = [] } = this.#options;
    const targets = targetsOf(row, columns, needs);
    const residues = columns.residues === undefined ? undefined : residuesOf(row, columns.residues, sequence);
    if (residues === undefined && columns.residues !== undefined && needs.includes('residues'))
      throw cellError(row, columns.residues, '', 'a label for each residue', 'Add them, or remove the row');
    return {
      ...targets,
      ...(residues ? { residues } : {}),
    };
  }
}

/** Residue labels of a cell: a text of letters, or a list. */
function residuesOf(row: Row, column: string, sequence: string): SequenceRecord['residues'] | undefined {
  const cell = cellList(row, column);
  if (cell === undefined) return undefined;
  const isLetters = typeof cell === 'string' && (cell.length === sequence.length || !/[\s,;|]/.test(cell));
  if (isLetters) return [...cell];
  const parts = typeof cell === 'string' ? cell.split(/\s*[,;|]\s*|\s+/) : cell;
  const read = parts.map((part): string | number | null => {
    if (typeof part === 'number') return Number.isFinite(part) ? part : null;
    if (typeof part === 'boolean') return Number(part);
    if (part === null) return null;
    if (typeof part === 'string') return isMissing(part) ? null : part;
    throw cellError(row, column, part, 'a label or a number for each residue', 'Correct it');
  });
  const numbers = read.map((part) => (typeof part === 'string' ? numberOf(part) : part));
  return numbers.every((number) => number !== undefined) ? numbers : read;
}

function atSites(wildType: string, sites: readonly number[], row: Row, column: string): string {
  const residues = cellText(row, column) ?? '';
  if (residues.length !== sites.length || /[^A-Za-z]/.test(residues)) {
    const wanted = `${sites.length} letters, the residues at ${sites.join(', ')} of the wild type,`;
    throw cellError(row, column, residues, wanted, 'Correct it');
  }
  const letters = [...wildType];
  sites.forEach((site, i) => (letters[site - 1] = residues[i]!.toUpperCase()));
  return letters.join('');
}

function noWildType(row: Row, column: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${row.place}: the column "${column}" has mutations, but the sequence that they are counted in is not known. Put it beside the table as wild-type.fasta, or give it: wildType: 'wt.fasta', on the command line --set wildType=wt.fasta.`,
  );
}
