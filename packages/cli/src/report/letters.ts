/** @file Sequences in blocks of ten letters, coloured by a value each, with lines of letters below that are compared. */

import type { ReportLetters } from '@onnx-lora/sdk/tasks';
import { escapeHtml } from './escape.ts';

const BLOCK = 10;

/** A box per sequence; blocks wrap as words do, so that lines stay below each other on a narrow screen too. */
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
