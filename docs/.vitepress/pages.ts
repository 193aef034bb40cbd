/** @file The pages of the site, and the sidebar that their front matter makes. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DefaultTheme } from 'vitepress';
import { parse } from 'yaml';
import { exampleNames } from './examples.ts';

/** A page with a place in the sidebar. */
export interface Page {
  /** Relative to `docs`: `guides/train.md`. */
  readonly path: string;
  /** Name in the sidebar. */
  readonly title: string;
  /** Its place among the pages of its section; groups follow the first of their pages. */
  readonly order: number;
  readonly group?: string;
}

/** The folder `docs`. */
export const root: string = fileURLToPath(new URL('..', import.meta.url));

/** The sections of the sidebar; a page belongs to the first that its path fits. */
const sections: readonly (readonly [title: string, pages: RegExp])[] = [
  ['Get started', /^guides\/first-steps\.md$/],
  ['Tutorials', /^tutorials\//],
  ['How-to guides', /^guides\//],
  ['Concepts', /^concepts\//],
  ['Reference', /^reference\//],
  ['Measured', /./],
];

/** Reads the front matter of the pages that are written by hand, but the home page and what is said about a folder. */
export function readPages(): Page[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter(
      (path) => path.endsWith('.md') && !/^(?:index\.md$|\.|sources\/|reference\/api\/)|(?:^|\/)README\.md$/.test(path),
    )
    .map(readPage)
    .sort((a, b) => a.order - b.order);
}

/**
 * Sections with their pages, those with a `group` inside it.
 *
 * @param pages In the order of the sidebar.
 */
export function sidebarOf(pages: readonly Page[]): DefaultTheme.SidebarItem[] {
  return sections.flatMap(([text], index) => {
    const mine = pages.filter(({ path }) => sections.findIndex(([, pattern]) => pattern.test(path)) === index);
    const items = [...itemsOf(mine, text), ...(text === 'Reference' ? [...exampleItems(), ...apiItems()] : [])];
    return items.length === 0 ? [] : [{ text, items }];
  });
}

/** The pages that a part of the sidebar leads to. */
export function linksIn(items: readonly DefaultTheme.SidebarItem[]): string[] {
  return items.flatMap(({ link, items: inner = [] }) => [...(link === undefined ? [] : [link]), ...linksIn(inner)]);
}

function itemsOf(pages: readonly Page[], section: string): DefaultTheme.SidebarItem[] {
  const items: DefaultTheme.SidebarItem[] = [];
  const groups = new Map<string, DefaultTheme.SidebarItem[]>();
  for (const { group, path, title } of pages) {
    const item = { text: title, link: linkTo(path) };
    if (group === undefined || group === section) items.push(item);
    else if (groups.has(group)) groups.get(group)!.push(item);
    else {
      groups.set(group, [item]);
      items.push({ text: group, collapsed: true, items: groups.get(group)! });
    }
  }
  return items;
}

function exampleItems(): DefaultTheme.SidebarItem[] {
  const items = exampleNames().map((name) => ({ text: `${name}.ts`, link: `/sources/${name}` }));
  return [{ text: 'Example programs', collapsed: true, items }];
}

/** The packages that typedoc has described. Their pages are a thousand: they are found from there, and by search. */
function apiItems(): DefaultTheme.SidebarItem[] {
  const folder = 'reference/api';
  if (!existsSync(join(root, folder))) return [];
  const packages = [...readFileSync(join(root, folder, 'index.md'), 'utf8').matchAll(/\]\((\S+)\/index\.md\)/g)];
  const items = packages.flatMap(([, name]) => {
    const modules = indexesIn(`${folder}/${name}`);
    if (modules.length === 0) return [{ text: name!, link: `/${folder}/${name}/` }];
    return modules.map((module) => ({
      text: module === 'index' ? name! : `${name}/${module}`,
      link: `/${folder}/${name}/${module}/`,
    }));
  });
  items.sort((a, b) => a.text.localeCompare(b.text, 'en'));
  return [{ text: 'API', link: `/${folder}/`, items }];
}

/** Folders in `folder` that have an index page. */
function indexesIn(folder: string): string[] {
  return readdirSync(join(root, folder)).filter((name) => existsSync(join(root, folder, name, 'index.md')));
}

function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8');
  const { title, order, group } = (parse(/^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] ?? '') ?? {}) as Partial<Page>;
  if (typeof title !== 'string' || typeof order !== 'number' || !['string', 'undefined'].includes(typeof group))
    throw new Error(`docs/${path} needs front matter: a title, an order (a number), and a group if it is in one.`);
  return { path, title, order, ...(group !== undefined && { group }) };
}

function linkTo(path: string): string {
  return `/${path.replace(/(^|(?<=\/))index\.md$|\.md$/, '')}`;
}
