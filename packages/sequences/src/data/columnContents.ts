/** @file Infers the contents of table columns from their cells. */

import { splitNames, type Table } from '@onnx-lora/sdk/data';

/** Number of first rows to inspect if the majority of cells decides. */
const LOOKED_AT = 2000;
/** Most distinct texts of a class column. */
const MOST_CLASSES = 1000;
/** Most distinct whole numbers of a class column. */
const MOST_NUMBERED_CLASSES = 20;

/** Infers what table columns contain. */
export class ColumnContents {
  readonly #table: Table;
  readonly #texts = new Map<string, readonly string[]>();

  /** Reads columns of a table. */
  constructor(table: Table) {
    this.#table = table;
  }

  /** True if most cells name a split. The others are mistakes and must not be trained on. */
  readonly hasMostlySplits = (column: string): boolean => {
    const texts = this.textsOf(column);
    return texts.filter((text) => splitNames.has(text.toLowerCase())).length > texts.length / 2;
  };

  /** True if every cell names a split. */
  readonly hasSplits = (column: string): boolean => {
    const texts = this.#allTexts(column).filter((text) => text !== '');
    return texts.length > 0 && texts.every((text) => splitNames.has(text.toLowerCase()));
  };

  /** True if all cells are booleans: true, false, 0 or 1. */
  hasMarks(column: string): boolean {
    return this.#allTexts(column).every((text) => /^(?:true|false|0|1|0\.0|1\.0|)$/i.test(text) || isMissing(text));
  }

  /** True if most cells are numbers. */
  readonly hasNumbers = (column: string): boolean => {
    const texts = this.textsOf(column).filter((text) => !isMissing(text));
    return texts.filter((text) => numberOf(text) !== undefined).length > texts.length / 2;
  };

  /** True if all non-missing cells are numbers. */
  readonly hasOnlyNumbers = (column: string): boolean => {
    const texts = this.#allTexts(column).filter((text) => !isMissing(text));
    return texts.length > 0 && texts.every((text) => numberOf(text) !== undefined);
  };

  /** True if the column has few distinct whole numbers, like class numbers. */
  hasWholeNumbers(column: string): boolean {
    const texts = this.#allTexts(column).filter((text) => !isMissing(text));
    return new Set(texts).size <= MOST_NUMBERED_CLASSES && texts.every((text) => /^-?\d+$/.test(text));
  }

  /** True if texts repeat, like class names. */
  readonly hasClasses = (column: string): boolean => {
    const texts = this.#allTexts(column);
    const count = new Set(texts).size;
    return count > 1 && count <= MOST_CLASSES && count < texts.length;
  };

  /** The split column with the most training rows. */
  mostTrained(columns: readonly string[]): string | undefined {
    const counts = columns.map((column) => ({
      column,
      count: this.#allTexts(column).filter((text) => splitNames.get(text.toLowerCase()) === 'train').length,
    }));
    return counts.sort((a, b) => b.count - a.count)[0]?.column;
  }

  /** Non-empty cells of the first rows. */
  textsOf(column: string): readonly string[] {
    const known = this.#texts.get(column);
    if (known) return known;
    const texts = this.#table.rows
      .slice(0, LOOKED_AT)
      .map((row) => textOfCell(row.cells.get(column)))
      .filter((text) => text !== '');
    this.#texts.set(column, texts);
    return texts;
  }

  #allTexts(column: string): readonly string[] {
    return this.#table.rows.map((row) => textOfCell(row.cells.get(column)));
  }
}

/** Unwraps a list of one item: TAPE writes numbers this way. */
function textOfCell(cell: unknown): string {
  if (typeof cell === 'string') return cell.trim();
  if (Array.isArray(cell) && cell.length === 1) return textOfCell(cell[0]);
  return typeof cell === 'number' || typeof cell === 'boolean' ? String(cell) : cell ? '[]' : '';
}

/** True for pandas' and R's spellings of a missing number. */
export function isMissing(text: string): boolean {
  return /^(?:|nan|na|n\/a|null|none)$/i.test(text.trim());
}

/** Parses a finite number. */
export function numberOf(text: string): number | undefined {
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}
