/** @file Links of the built site that lead nowhere. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const site = 'https://site.test';

/** `page: link` for each link inside the built site without a file or a heading, and each outside it that is not https. */
export function brokenLinks(folder: string): string[] {
  const files = new Set(filesIn(folder));
  const anchors = new Map<string, Set<string>>();
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
  const anchorsOf = (file: string): Set<string> => {
    if (!anchors.has(file)) anchors.set(file, new Set(attributes(read(file), 'id')));
    return anchors.get(file)!;
  };
  const works = (link: string, page: string): boolean => {
    if (!URL.canParse(link, `${site}/${page}`)) return false;
    const { origin, protocol, pathname, hash } = new URL(link, `${site}/${page}`);
    // Small pictures are within the page.
    if (origin !== site) return protocol === 'https:' || link.startsWith('data:image/');
    const file = fileAt(files, pathname);
    if (file === undefined) return false;
    return hash === '' || anchorsOf(file).has(decodeURIComponent(hash.slice(1)));
  };
  return [...files]
    .filter((file) => file.endsWith('.html'))
    .flatMap((page) => {
      const html = read(page);
      const links = new Set([...attributes(html, 'href'), ...attributes(html, 'src')]);
      return [...links].filter((link) => !works(link, page)).map((link) => `${page}: ${link}`);
    });
}

/** The file that a web server answers with, if there is one. */
export function fileAt(files: ReadonlySet<string>, pathname: string): string | undefined {
  const path = decodeURIComponent(pathname).slice(1);
  return [path, `${path}.html`, `${path}index.html`].find((file) => files.has(file));
}

/** Paths of all files in a folder and below, with slashes. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replaceAll('\\', '/').replace(/^\//, ''));
}

function attributes(html: string, name: string): string[] {
  return [...html.matchAll(new RegExp(` ${name}="([^"]*)"`, 'g'))].map(([, value]) =>
    value!.replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
  );
}
