/** @file Formats tables, numbers and durations. */

import { stripVTControlCharacters } from 'node:util';

export type Alignment = 'left' | 'right';

/** Aligns cells in columns, two spaces apart, without trailing spaces. */
export function formatTable(rows: readonly (readonly string[])[], alignments: readonly Alignment[] = []): string[] {
  const widths = rows.reduce<number[]>((widest, row) => {
    row.forEach((cell, i) => (widest[i] = Math.max(widest[i] ?? 0, cell.length)));
    return widest;
  }, []);
  return rows.map((row) =>
    row
      .map((cell, i) => (alignments[i] === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** Breaks a table row at the terminal's width, with indentation; other lines stay whole, for copying. */
export function narrowed(row: string, width: number): string {
  if (widthOf(row) <= width || !/\S {2,}\S/.test(row)) return row;
  return hanging(row, width, /^ */.exec(row)![0].length + 4);
}

/** Width of a text without colour codes. */
function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Breaks text between words, indenting lines below the first. Longer words stay whole. */
export function hanging(text: string, width: number, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const [piece] of text.matchAll(/ *[^ ]+/g)) {
    if (line !== '' && widthOf(line + piece) > width) {
      lines.push(line);
      line = ' '.repeat(indent) + piece.trimStart();
    } else line += piece;
  }
  return [...lines, line].join('\n');
}

/** `294912` → `294,912`, in any locale. */
export function grouped(count: number): string {
  return new Intl.NumberFormat('en-US').format(count);
}

/** `22928619` → `22.9 MB`. */
export function inBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const at = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${at === 0 ? bytes : (bytes / 1000 ** at).toFixed(1)} ${units[at]}`;
}

/** Four decimals, so that numbers align: `0.8734`; else `3.891e+17`, `1.200e-7`. */
export function decimals(value: number): string {
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-3 && size < 1e5) ? value.toFixed(4) : value.toExponential(3);
}

/** Four significant digits: `0.8734`, `1.2e-5`. */
export function short(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6
    ? String(Number(value.toPrecision(4)))
    : value.toExponential(1);
}

/** A fraction as `12.34%`. */
export function percent(share: number): string {
  return `${short(100 * share)}%`;
}

/** `0.61 (0.55 to 0.66)`: a number with its 95% interval, if any. */
export function withInterval(text: string, interval: readonly [low: number, high: number] | undefined): string {
  return interval ? `${text} (${short(interval[0])} to ${short(interval[1])})` : text;
}

/** `83` → `1:23`, `3700` → `1:01:40`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

/** A time in a recording: `4.2` → `0:04.20`, `3723.4` → `1:02:03.40`. */
export function timecode(seconds: number): string {
  const hundredths = Math.max(0, Math.round(seconds * 100));
  return `${clock(Math.floor(hundredths / 100))}.${String(hundredths % 100).padStart(2, '0')}`;
}
