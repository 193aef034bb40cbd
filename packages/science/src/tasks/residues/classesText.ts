/** @file Classes of residues as text. */

/** What stands for residues without an answer. */
const NONE = '-';

/** One string where all classes are single letters, as in `HHHEEC`; else a list. `-` stands for residues without an answer. */
export function classesText(classes: readonly (string | undefined)[]): string | readonly string[] {
  const given = classes.map((name) => name ?? NONE);
  return given.every((name) => name.length === 1) ? given.join('') : given;
}

const SYMBOLS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A letter for each class, to be put below a sequence: the class itself where all are single letters; undefined where they are too many. */
export function classLetters(labels: readonly string[]): readonly string[] | undefined {
  if (labels.every((label) => label.length === 1)) return labels;
  return labels.length <= SYMBOLS.length ? labels.map((_, i) => SYMBOLS[i]!) : undefined;
}
