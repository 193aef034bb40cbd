/** @file A page for the source of each example, and links that lead there instead of to a file. */

import { readdirSync, readFileSync } from 'node:fs';
import type { MarkdownOptions } from 'vitepress';

const folder = new URL('../examples/', import.meta.url);

/** Names of the examples, without an ending. */
export function exampleNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .toSorted((a, b) => a.localeCompare(b, 'en'));
}

/** The page of an example, in Markdown: what it shows, and its text. */
export function examplePage(name: string): string {
  const source = readFileSync(new URL(`${name}.ts`, folder), 'utf8');
  const [whole, comment] = /^\/\*\*\s*(?:\* )?@file ([\s\S]*?)\s*\*\/\n+/.exec(source) ?? ['', ''];
  const text = source.slice(whole!.length).replaceAll(/^ *\/\/ #(?:end)?region.*\n/gm, '');
  return `# ${name}.ts\n\n${comment!.replaceAll(/\n \* ?/g, ' ')}\n\n\`\`\`\`ts\n${text}\`\`\`\`\n`;
}

/** Makes links to `docs/examples/NAME.ts` links to the page of that example. */
export const linkExamples: NonNullable<MarkdownOptions['config']> = (md) => {
  const open = md.renderer.rules.link_open!;
  md.renderer.rules.link_open = (tokens, index, ...rest) => {
    const href = tokens[index]!.attrGet('href')!;
    tokens[index]!.attrSet('href', href.replace(/^(?:(?:\.\.?\/)*examples\/)?(\w+)\.ts$/, '/sources/$1'));
    return open(tokens, index, ...rest);
  };
};
