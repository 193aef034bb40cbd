/** @file Text made safe for HTML: names of classes, files and models come from strangers. */

import { short, withInterval } from '../terminal/table.ts';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character]!);
}

/** A number with its interval, which stands below it where the place is narrow. */
export function measuredHtml(value: number, interval: readonly [low: number, high: number] | undefined): string {
  const text = short(value);
  const behind = withInterval('', interval).trim();
  return behind === '' ? text : `${text} <span class="interval">${behind}</span>`;
}
