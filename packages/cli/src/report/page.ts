/** @file The frame of every page, one HTML file without scripts that opens offline, and the pieces that pages share. */

import { short, withInterval } from '../terminal/table.ts';
import { style } from './style.ts';

/** Renders a page. The title is escaped; the body is HTML. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes text for an element or a quoted attribute: names of classes, files and models are untrusted. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character]!);
}

/** A number with its interval. */
export function measuredHtml(value: number, interval: readonly [low: number, high: number] | undefined): string {
  const text = short(value);
  const behind = withInterval('', interval).trim();
  return behind === '' ? text : `${text} <span class="interval">${behind}</span>`;
}

/** `2026-11-29 14:03 UTC`. */
export function dateOf(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Names and values as tiles, after `first`, which is HTML. */
export function factTiles(facts: readonly (readonly [name: string, value: string])[], first = ''): string {
  const tiles = facts.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`);
  return `<dl class="facts">\n${first}${tiles.join('\n')}\n</dl>`;
}

/**
 * A table that scrolls when too wide.
 * @param isNumber whether a column has numbers
 * @param rows `<tr>` elements
 */
export function scrollTable(
  heads: readonly string[],
  isNumber: (column: number) => boolean,
  rows: readonly string[],
  kind = 'scroll',
): string {
  const head = heads.map(
    (name, i) => `<th scope="col"${isNumber(i) ? ' class="number"' : ''}>${escapeHtml(name)}</th>`,
  );
  return `<div class="${kind}"><table>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}
