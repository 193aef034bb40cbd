/** @file Cells of CSV and TSV files that spreadsheets open: what is written there is text, and not run as a formula. */

/** What a spreadsheet takes for the beginning of a formula, behind any quotes that we have put before it. */
const formula = /^'*[=+\-@\t\r]/;
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * A cell as RFC 4180 has it. Names and labels come from files of strangers, and a spreadsheet runs `=HYPERLINK(…)`: a text that
 * begins with `=`, `+`, `-`, `@`, a tab or a carriage return, and is no number, gets a `'` before it, by which spreadsheets know
 * texts. {@link textOfCell} takes it away.
 *
 * @param separator what stands between cells
 */
export function csvCell(text: string, separator: string): string {
  const safe = formula.test(text) && !number.test(text) ? `'${text}` : text;
  const mustQuote = safe.includes('"') || safe.includes(separator) || /[\r\n]/.test(safe);
  return mustQuote ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** What {@link csvCell} was given, from what stands in the file without its quotes. */
export function textOfCell(text: string): string {
  return text.startsWith("'") && formula.test(text) ? text.slice(1) : text;
}
