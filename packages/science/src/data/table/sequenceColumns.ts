/** @file Which column of a table holds what. */

import { ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import type { SequenceColumns, SequenceNeed } from '../sequenceSource.ts';
import { checkNeeds } from './checkNeeds.ts';
import { ColumnContents } from './columnContents.ts';
import type { FoundColumns } from './foundColumns.ts';
import { type ColumnRole, usualColumns } from './usualColumns.ts';

/**
 * Finds the columns of a table: by what the user says, by their usual names, and by what they hold.
 *
 * @param hasSites true where the wild type's file names the sites of which a column may hold the residues
 * @throws OnnxLoraError `DATA_INVALID` when the user names one that is not there, or one is missing that is needed
 */
export function findColumns(
  table: Table,
  names: SequenceColumns = {},
  needs: readonly SequenceNeed[] = [],
  hasSites = false,
): FoundColumns {
  const finder = new TypedFinder(table, names);
  const { contents } = finder;
  // What the user names is taken first, so that no usual name takes it for something else.
  finder.takeChosen();
  // A column "protein" may hold names.
  const fits = (column: string): boolean => /seq|smiles/i.test(column) || contents.hasSequences(column);
  const sequence = finder.one('sequence', fits) ?? finder.likeSequence();
  const isPair = needs.includes('second');
  const second = finder.one('second', fits) ?? (isPair ? finder.usual('sequence', fits) : undefined);
  const variants = finder.one('mutations', (column) => hasSites || contents.hasMutations(column));
  const isSites = variants !== undefined && hasSites && !contents.hasMutations(variants);
  const columns: FoundColumns = {
    sequence,
    second,
    ...(isSites ? { sites: variants } : { mutations: variants }),
    ...splitColumns(finder),
    id: finder.one('id'),
    group: finder.one('group'),
    residues: finder.one('residues'),
    ...targetColumns(finder, needs),
  };
  checkNeeds(table, columns, needs);
  return columns;
}

/** Columns that say which part of the data a row is in. */
function splitColumns(finder: TypedFinder): Pick<FoundColumns, 'split' | 'otherSplits' | 'isValidation'> {
  const { contents } = finder;
  const chosen = finder.chosen('split')[0];
  const usual = chosen ?? finder.usual('split', contents.hasMostlySplits);
  // FLIP's tables have a column for each way to divide them.
  const others = finder.rest.filter(contents.hasSplits);
  others.forEach((column) => finder.take(column));
  const split = usual ?? contents.mostTrained(others);
  const marks = ['validation', `${split}_validation`.toLowerCase()];
  const isValidation = finder.rest.find((column) => marks.includes(column.toLowerCase()) && contents.hasMarks(column));
  finder.take(isValidation);
  return { split, isValidation, otherSplits: chosen === undefined ? others.filter((column) => column !== split) : [] };
}

/** Columns of what is to be predicted. One of numbers may hold classes, or be what is measured: the task takes it as it needs it. */
function targetColumns(
  finder: TypedFinder,
  needs: readonly SequenceNeed[],
): Pick<FoundColumns, 'label' | 'labels' | 'oneHot' | 'values'> {
  const { contents } = finder;
  const chosenLabels = finder.chosen('labels');
  const oneHot = chosenLabels.length > 1 ? chosenLabels : undefined;
  const labels = oneHot ? undefined : finder.one('labels');
  const named = finder.one('label');
  // A cell that is no number is a mistake where numbers are needed, and is told.
  const numbers = needs.includes('values') ? contents.hasNumbers : contents.hasOnlyNumbers;
  const measured = finder.usual('values', (column) => needs.includes('values') || contents.hasNumbers(column));
  const numbered = [named, labels].find((column) => column !== undefined && numbers(column));
  const own = finder.chosen('values');
  const value = measured ?? numbered ?? finder.lone((column) => numbers(column) && !/^fold_/i.test(column));
  const values = own.length > 0 ? own : value === undefined ? undefined : [value];
  const isLabelNeeded = needs.includes('label') && labels === undefined && oneHot === undefined;
  const target =
    values?.length === 1 && (isLabelNeeded || contents.hasWholeNumbers(values[0]!)) ? values[0] : undefined;
  const label =
    named ??
    target ??
    finder.usual('values', contents.hasClasses) ??
    (isLabelNeeded ? finder.lone(contents.hasClasses) : undefined);
  return { label, labels, oneHot, values };
}

/** Finds columns for what they may hold. */
class TypedFinder {
  readonly contents: ColumnContents;
  readonly #finder: ColumnFinder;
  readonly #names: SequenceColumns;

  constructor(table: Table, names: SequenceColumns) {
    this.contents = new ColumnContents(table);
    this.#finder = new ColumnFinder(table);
    this.#names = names;
  }

  /** Columns without a purpose yet. */
  get rest(): readonly string[] {
    return this.#finder.rest;
  }

  take(column: string | undefined): void {
    if (column !== undefined) this.#finder.chosen(column, 'split');
  }

  /** Takes all that the user names. */
  takeChosen(): void {
    for (const role of Object.keys(this.#names) as ColumnRole[]) this.chosen(role);
  }

  /** What the user names. */
  chosen(role: ColumnRole): readonly string[] {
    const given = this.#names[role] ?? [];
    return (typeof given === 'string' ? [given] : given).map((name) => this.#finder.chosen(name, role));
  }

  /** The column that the user names, or one with a usual name that fits. */
  one(role: ColumnRole, fits?: (column: string) => boolean): string | undefined {
    return this.chosen(role)[0] ?? this.usual(role, fits);
  }

  /** The free column with the first of the usual names that fits. */
  usual(role: ColumnRole, fits: (column: string) => boolean = () => true): string | undefined {
    const free = new Map(this.rest.map((column) => [column.toLowerCase(), column]));
    const names: readonly string[] = usualColumns[role];
    const found = names.map((name) => free.get(name)).find((column) => column !== undefined && fits(column));
    this.take(found);
    return found;
  }

  /** The only free column that fits. */
  lone(fits: (column: string) => boolean): string | undefined {
    const fitting = this.rest.filter(fits);
    if (fitting.length !== 1) return undefined;
    this.take(fitting[0]);
    return fitting[0];
  }

  /** The only free column whose name speaks of sequences. */
  likeSequence(): string | undefined {
    return this.lone((column) => /seq|smiles/i.test(column) && this.contents.hasSequences(column));
  }
}
