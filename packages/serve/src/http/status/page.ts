/** @file The page of a server's state: one file, with what it may run and load said by hash. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A page, and what its browser is told that it may do. */
export interface StatusPage {
  readonly html: string;
  /** Content-Security-Policy: the page's own script and style, and questions to this server. */
  readonly policy: string;
}

/** In the order in which they are run. */
const scripts = ['elements.js', 'charts.js', 'ask.js', 'status.js'];

let made: StatusPage | undefined;

/** The page, which knows nothing of the server: its script asks for that. */
export function statusPage(): StatusPage {
  if (made) return made;
  const read = (name: string): string => readFileSync(new URL(`../../../page/${name}`, import.meta.url), 'utf8');
  const html = read('status.html')
    .replace('/* style */', () => read('status.css'))
    .replace('/* script */', () => scripts.map(read).join('\n'));
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(html, 'script')}'`,
    `style-src '${hashOf(html, 'style')}'`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return (made = { html, policy });
}

/** Of all that stands in the page's one element of this name. */
function hashOf(html: string, element: string): string {
  const [, text] = new RegExp(`<${element}>(.*)</${element}>`, 's').exec(html) as unknown as [string, string];
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
