/** @file Every page keeps its word: its code compiles, its links lead somewhere, its commands exist; and so does all that CONTRIBUTING names. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { walksOf } from './fences/diffs.ts';
import { allPages, root } from './fences/fences.ts';
import { compilePages, type CompiledPages } from './fences/program.ts';
import { slugify } from './.vitepress/slugify.ts';

const pages = allPages();

describe.each(pages)('%s', (page) => {
  test('exists', () => {
    expect(existsSync(join(root, page))).toBe(true);
  });

  test('its code compiles', () => {
    expect(compiled.errors.get(page) ?? []).toEqual([]);
  });

  test('its links lead somewhere', () => {
    expect(brokenLinks(page)).toEqual([]);
  });

  test('its npm scripts exist', () => {
    // A page may speak of this repository, or of a plugin that the reader has made.
    const manifests = ['package.json', 'packages/create-onnx-lora-plugin/template/package.json.template'];
    const scripts = manifests.flatMap((file) => {
      const manifest = JSON.parse(read(file)) as { scripts: Record<string, string> };
      return Object.keys(manifest.scripts);
    });
    const named = [...read(page).matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
  });
});

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => existsSync(join(root, file)));

test.each(pages.filter((page) => page === 'CONTRIBUTING.md' || page.startsWith('docs/concepts/')))(
  'the files of this repository that %s names exist',
  (page) => {
    // A path may begin at the SDK's sources, and a name alone may be anywhere.
    const isThere = (path: string): boolean =>
      ['', 'packages/sdk/src'].some((from) => existsSync(join(root, from, path))) ||
      files.some((file) => file.endsWith(`/${path}`));
    const pattern = page === 'CONTRIBUTING.md' ? /^[.\w-]+(\/[.\w-]+)+$|\.(ts|py|md)$/ : /^[\w/.-]+\.ts$/;
    const paths = spansOf(page)
      .flatMap((span) => span.split(' '))
      .filter((word) => pattern.test(word) && !/[A-Z]{2}|\.log$/.test(word));
    expect(paths.filter((path) => !isThere(path))).toEqual([]);
  },
);

describe('CONTRIBUTING.md', () => {
  const sources = files.filter((file) => /\.([cm]?[jt]s|py|sh)$|^\.ci\/\w+$/.test(file));
  const words = new Set(sources.flatMap((file) => read(file).match(/[\w$]+/g) ?? []));

  test('the names of code that it mentions exist, in the file that it says they are in', () => {
    const names = spansOf('CONTRIBUTING.md').filter((span) => /^#?[A-Za-z]\w+$/.test(span));
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !words.has(name.replace('#', '')))).toEqual([]);
    const places = [...proseOf('CONTRIBUTING.md').matchAll(/((?:`[#\w]+`(?:, | and )?)+) in `([^`]+\.ts)`/g)];
    expect(places.length).toBeGreaterThan(3);
    const missing = places.flatMap(([, listed, file]) => {
      const code = read(`packages/sdk/src/${file}`);
      const named = [...listed!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
      return named.filter((name) => !new RegExp(`(?<!\\w)${name}\\b`).test(code)).map((name) => `${name} in ${file}`);
    });
    expect(missing).toEqual([]);
  });

  test('its diffs apply, and what they make compiles', () => {
    expect(compiled.diffErrors).toEqual([]);
  });

  test('each walk has a command that checks it, and says how many files it takes beside tests and fixtures', () => {
    const words = ['', 'one', 'two', 'three'];
    for (const { title, files, checks } of walksOf('CONTRIBUTING.md')) {
      expect(checks, title).not.toEqual([]);
      const [, count] = new RegExp(`^## ${title}\\n+(\\w+) files?\\b`, 'm').exec(read('CONTRIBUTING.md')) ?? [];
      const counted = [...files].filter(([path, content]) => typeof content === 'string' && !path.endsWith('.test.ts'));
      expect(words.indexOf(count?.toLowerCase() ?? ''), title).toBe(counted.length);
    }
  });
});

let compiled: CompiledPages;
beforeAll(() => {
  compiled = compilePages(pages);
}, 120_000);

function brokenLinks(page: string): string[] {
  const targets = proseOf(page).matchAll(/\]\(([^)\s]+)\)/g);
  return [...targets]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(page, target));
}

function leadsSomewhere(page: string, target: string): boolean {
  const [path, anchor] = target.split('#') as [string, string?];
  const file = path === '' ? join(root, page) : resolve(root, dirname(page), path);
  // The API reference is generated with the site.
  const api = relative(join(root, 'docs/reference/api'), file);
  if (!api.startsWith('..')) return compiled.apiPages.has(api);
  if (!existsSync(file)) return false;
  return anchor === undefined || headings(relative(root, file)).includes(anchor);
}

/** Anchors of a page's headings. */
function headings(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) => slugify(title!));
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** A page without its fences. */
function proseOf(page: string): string {
  return read(page).replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** Text in `code` of a page. */
function spansOf(page: string): string[] {
  return [...proseOf(page).matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
}
