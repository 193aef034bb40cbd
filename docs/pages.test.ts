/** @file Every page keeps its word: its code compiles, its links lead somewhere, its commands exist. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { allPages, fencesOf, root } from './fences/fences.ts';
import { slugify } from './.vitepress/slugify.ts';

const pages = allPages();

describe.each(pages)('%s', (page) => {
  test('exists', () => {
    expect(existsSync(join(root, page))).toBe(true);
  });

  test('its code compiles', () => {
    expect(codeErrors.get(page) ?? []).toEqual([]);
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

/** `page:line message` of every compiler error in a `ts` fence, by page. */
let codeErrors = new Map<string, string[]>();
beforeAll(() => {
  codeErrors = compileFences();
}, 120_000);

function compileFences(): Map<string, string[]> {
  // Each fence is a module of its own beside its page, so that imports resolve as they would for a reader.
  const fences = new Map(
    pages.flatMap((page) =>
      fencesOf(page).map((fence) => [join(root, `${page}.${fence.line}.ts`), { page, ...fence }] as const),
    ),
  );
  const options: ts.CompilerOptions = {
    ...ts.parseJsonConfigFileContent(
      ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
      ts.sys,
      root,
    ).options,
    moduleDetection: ts.ModuleDetectionKind.Force,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const readFile = host.readFile.bind(host);
  host.fileExists = (path) => fences.has(path) || fileExists(path);
  host.readFile = (path) => fences.get(path)?.code ?? readFile(path);
  const program = ts.createProgram([...fences.keys()], options, host);

  const errors = new Map<string, string[]>();
  for (const [path, { page, line }] of fences) {
    const source = program.getSourceFile(path)!;
    for (const each of [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]) {
      const row = source.getLineAndCharacterOfPosition(each.start ?? 0).line;
      const message = ts.flattenDiagnosticMessageText(each.messageText, ' ');
      errors.set(page, [...(errors.get(page) ?? []), `${page}:${line + row} ${message}`]);
    }
  }
  return errors;
}

function brokenLinks(page: string): string[] {
  const prose = read(page).replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
  const targets = prose.matchAll(/\]\(([^)\s]+)\)/g);
  return [...targets]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(page, target));
}

function leadsSomewhere(page: string, target: string): boolean {
  const [path, anchor] = target.split('#') as [string, string?];
  const file = path === '' ? join(root, page) : resolve(root, dirname(page), path);
  // The API reference is generated with the site, which checks these links.
  if (!relative(join(root, 'docs/reference/api'), file).startsWith('..')) return true;
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
