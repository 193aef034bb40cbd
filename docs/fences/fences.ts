/** @file Finds the pages of the documentation, and the `ts` fences in them. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that paths of pages are relative to. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url));

/** A block of TypeScript in a page. */
export interface Fence {
  /** The line of its first line of code, counted from 1. */
  readonly line: number;
  readonly code: string;
}

/** The fences of a page, in order, but those that show a file. */
export function fencesOf(page: string): Fence[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^( *)```ts\b(?! file=).*\n([\s\S]*?)^ *```$/gm)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length + 1,
    code: match[2]!.replaceAll(new RegExp(`^${match[1]}`, 'gm'), ''),
  }));
}

/** Pages with fences. */
export function pagesWithFences(): string[] {
  return allPages().filter((page) => fencesOf(page).length > 0);
}

/** Every page that is written by hand. */
export function allPages(): string[] {
  return [
    'README.md',
    'CONTRIBUTING.md',
    ...markdownIn('docs'),
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
  ];
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    // The API reference is generated; a dot folder is the site's machinery.
    if (entry.isDirectory()) return entry.name.startsWith('.') || path === 'docs/reference/api' ? [] : markdownIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}
