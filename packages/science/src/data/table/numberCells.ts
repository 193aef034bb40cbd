/** @file Numbers in the cells of a table, and the words for those that are not known. */

/** True for words that stand for a number that is not known, as pandas and R write them. */
export function isMissing(text: string): boolean {
  return /^(?:|nan|na|n\/a|null|none)$/i.test(text.trim());
}

/** The finite number that a text is. */
export function numberOf(text: string): number | undefined {
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}
