/** @file Sequences in blocks of coloured letters, and sequence logos as SVG. */

import type { ReportLetters, ReportLogoColumn } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { escapeHtml } from './page.ts';
import { niceTicks, nothingToDraw } from './plot.ts';

const BLOCK = 10;

/** A box per sequence, in blocks of ten that wrap as words do. */
export function letterRows(rows: readonly ReportLetters[]): string {
  return `<div class="letters">\n${rows.map(letterRow).join('\n')}\n</div>`;
}

function letterRow({ title, text, values, below = [] }: ReportLetters): string {
  const letters = [...text];
  const lines = below.map(({ label, text: line }) => ({ label, letters: [...line] }));
  const blocks: string[] = [];
  for (let from = 0; from < letters.length; from += BLOCK) {
    const places = Array.from({ length: Math.min(BLOCK, letters.length - from) }, (_, i) => from + i);
    const top = places.map((i) => {
      const value = values?.[i];
      const letter = escapeHtml(letters[i]!);
      if (value === undefined) return letter;
      return `<b style="--share:${Math.min(1, Math.max(0, value)).toFixed(2)}" title="${letter}${i + 1}: ${value.toFixed(3)}">${letter}</b>`;
    });
    const under = lines.map(({ letters: own }, line) => {
      const shown = places.map((i) => {
        const letter = escapeHtml(own[i] ?? ' ');
        return line > 0 && own[i] !== lines[0]!.letters[i] ? `<u>${letter}</u>` : letter;
      });
      return `<span>${shown.join('')}</span>`;
    });
    blocks.push(`<div><small>${from + 1}</small><span>${top.join('')}</span>${under.join('')}</div>`);
  }
  const key = lines.length === 0 ? '' : `<p class="quiet">Below each letter: ${keyOf(lines)}.</p>`;
  const read = [text, ...lines.map(({ label, letters: own }) => `${label}: ${own.join('')}`)].join('; ');
  return `<section><h3>${escapeHtml(title)}</h3>${key}<p class="unseen">${escapeHtml(read)}</p><div class="blocks" aria-hidden="true">${blocks.join('')}</div></section>`;
}

function keyOf(lines: readonly { readonly label: string }[]): string {
  const names = lines.map(({ label }) => escapeHtml(label)).join(', ');
  return lines.length > 1 ? `${names}; <u>underlined</u> where it is not as ${escapeHtml(lines[0]!.label)}` : names;
}

const height = 220;
const left = 52;
const right = 12;
const top = 12;
const bottom = 40;
const columnWidth = 26;
/** Height of capitals in usual sans-serif fonts, relative to the font size. */
const CAPITAL = 0.72;

/** Amino acids by side chain, as WebLogo colours them; nucleotides each have one. */
const aminoAcids: Readonly<Record<string, string>> = {
  ...groups('GSTYC', 's2'),
  ...groups('QN', 's4'),
  ...groups('KRH', 's0'),
  ...groups('DE', 's7'),
};
const nucleotides: Readonly<Record<string, string>> = { A: 's2', C: 's0', G: 's1', T: 's7', U: 's7' };

export interface LogoOptions {
  readonly x: string;
  readonly y: string;
  readonly columns: readonly ReportLogoColumn[];
}

/** A logo that scrolls when too wide; a text where nothing can be drawn. */
export function logo({ x, y, columns }: LogoOptions, title: string): string {
  const heights = columns.map(({ letters }) => letters.reduce((sum, each) => sum + each.height, 0));
  const highest = Math.max(0, ...heights);
  if (highest === 0) return nothingToDraw;
  const isNucleic = columns.every(({ letters }) => letters.every(({ letter }) => Object.hasOwn(nucleotides, letter)));
  const colours = isNucleic ? nucleotides : aminoAcids;
  const ticks = niceTicks(0, highest, 4);
  const width = left + columns.length * columnWidth + right;
  const scale = (height - top - bottom) / ticks.at(-1)!;
  const atY = (value: number): number => height - bottom - value * scale;
  const body = columns.map(({ label, letters }, i) => {
    const from = left + i * columnWidth;
    let at = 0;
    const drawn = letters.map(({ letter, height: own }) => {
      const base = atY(at);
      at += own;
      const size = columnWidth;
      // A letter as wide as the column, stretched to its height.
      const stretch = (own * scale) / (size * CAPITAL);
      if (stretch < 0.02) return '';
      return `<text class="${colours[letter] ?? 'plain'}" transform="translate(${from + 1} ${base.toFixed(1)}) scale(1 ${stretch.toFixed(3)})" font-size="${size}" textLength="${columnWidth - 2}" lengthAdjust="spacingAndGlyphs">${escapeHtml(letter)}</text>`;
    });
    const read = letters
      .toReversed()
      .map(({ letter, height: own }) => `${letter} ${short(Number(own.toPrecision(2)))}`)
      .join(', ');
    return `<g><title>${escapeHtml(`${label}: ${read || 'nothing'}`)}</title><rect class="under" x="${from}" y="${top}" width="${columnWidth}" height="${height - top - bottom}"/>${drawn.join('')}<text class="label" x="${from + columnWidth / 2}" y="${height - bottom + 16}" text-anchor="middle">${escapeHtml(label)}</text></g>`;
  });
  const middle = (top + height - bottom) / 2;
  return [
    `<div class="scroll" tabindex="0"><svg class="logo" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${title}: logo of ${columns.length} positions, up to ${short(Number(highest.toPrecision(3)))} ${y}.`)}">`,
    ...ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${atY(tick).toFixed(1)}" y2="${atY(tick).toFixed(1)}"/><text class="label" x="${left - 6}" y="${atY(tick).toFixed(1)}" dy="4" text-anchor="end">${short(tick)}</text>`,
    ),
    ...body,
    `<text class="label" x="${left}" y="${height - 6}">${escapeHtml(x)}</text>`,
    `<text class="label" x="12" y="${middle}" text-anchor="middle" transform="rotate(-90 12 ${middle})">${escapeHtml(y)}</text>`,
    '</svg></div>',
  ].join('\n');
}

function groups(letters: string, colour: string): Record<string, string> {
  return Object.fromEntries([...letters].map((letter) => [letter, colour]));
}
