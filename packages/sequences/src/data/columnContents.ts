/** @file Infers the contents of table columns from their cells. */

import { splitNames, type Table } from '@onnx-lora/sdk/data';

/** Rows sampled where most cells decide. */
const LOOKED_AT = 2000;
/** Most distinct texts of a class column. */
const MOST_CLASSES = 1000;
/** Most distinct whole numbers of a class column. */
const MOST_NUMBERED_CLASSES = 20;

/** What the cells of columns look like. */
export class ColumnContents {
  readonly #table: Table;
  readonly #texts = new Map<string, readonly string[]>();

  /** Reads columns of a table. */
  constructor(table: Table) {
    this.#table = table;
  }

  /** True where most cells name a split; the others are mistakes, and must not be trained on. */
  readonly hasMostlySplits = (column: string): boolean => {
    const texts = this.textsOf(column);
    return texts.filter((text) => splitNames.has(text.toLowerCase())).length > texts.length / 2;
  };

  /** True where every cell names a split. */
  readonly hasSplits = (column: string): boolean => {
    const texts = this.#allTexts(column).filter((text) => text !== '');
    return texts.length > 0 && texts.every((text) => splitNames.has(text.toLowerCase()));
  };

  /** True where cells are yes or no. */
  hasMarks(column: string): boolean {
    return this.#allTexts(column).every((text) => /^(?:true|false|0|1|0\.0|1\.0|)$/i.test(text) || isMissing(text));
  }

  /** True where most cells are numbers. */
  readonly hasNumbers = (column: string): boolean => {
    const texts = this.textsOf(column).filter((text) => !isMissing(text));
    return texts.filter((text) => numberOf(text) !== undefined).length > texts.length / 2;
  };

  /** True where all cells that say something are numbers. */
  readonly hasOnlyNumbers = (column: string): boolean => {
    const texts = this.#allTexts(column).filter((text) => !isMissing(text));
    return texts.length > 0 && texts.every((text) => numberOf(text) !== undefined);
  };

  /** True where cells are few different whole numbers, as classes are. */
  hasWholeNumbers(column: string): boolean {
    const texts = this.#allTexts(column).filter((text) => !isMissing(text));
    return new Set(texts).size <= MOST_NUMBERED_CLASSES && texts.every((text) => /^-?\d+$/.test(text));
  }

  /** True where texts are repeated, as those of classes are. */
  readonly hasClasses = (column: string): boolean => {
    const texts = this.#allTexts(column);
    const count = new Set(texts).size;
    return count > 1 && count <= MOST_CLASSES && count < texts.length;
  };

  /** Of columns of splits, the one with most rows to train on. */
  mostTrained(columns: readonly string[]): string | undefined {
    const counts = columns.map((column) => ({
      column,
      count: this.#allTexts(column).filter((text) => splitNames.get(text.toLowerCase()) === 'train').length,
    }));
    return counts.sort((a, b) => b.count - a.count)[0]?.column;
  }

  /** Cells of the first rows that hold something. */
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

/** Text of a cell; a list of one counts as its item, as TAPE writes numbers. */
function textOfCell(cell: unknown): string {
  if (typeof cell === 'string') return cell.trim();
  if (Array.isArray(cell) && cell.length === 1) return textOfCell(cell[0]);
  return typeof cell === 'number' || typeof cell === 'boolean' ? String(cell) : cell ? '[]' : '';
}

/** True for words that stand for a number that is not known, as pandas and R write them. */
export function isMissing(text: string): boolean {
  return /^(?:|nan|na|n\/a|null|none)$/i.test(text.trim());
}

/** The finite number that a text is. */
export function numberOf(text: string): number | undefined {
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}
