/** @file The files of a new plugin: those of the template, with the answers in place of `{{name}}`, `{{family}}` … */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answers } from './answers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Paths with `/` from the plugin's folder, and their text. */
export function filesOf(answers: Answers): Map<string, string> {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  // The generator and the SDK are released together.
  const values = { ...answers, sdk: `^${version}`, year: String(new Date().getFullYear()) };
  const files = new Map<string, string>();
  const add = (name: string, source: string): void => {
    files.set(name, filled(readFileSync(path.join(root, source), 'utf8'), values, escapes[path.extname(name)]));
  };
  const template = path.join(root, 'template');
  for (const entry of readdirSync(template, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const name = path.relative(template, path.join(entry.parentPath, entry.name)).split(path.sep).join('/');
    // npm would heed .gitignore and .npmrc, or leave them out, when it packs the template; and a package has one manifest.
    add(name.replace(/^_/, '.').replace(/\.template$/, ''), `template/${name}`);
  }
  if (answers.license !== 'UNLICENSED') add('LICENSE', `licenses/${answers.license}.txt`);
  const manifest = files.get('package.json');
  if (answers.license === 'UNLICENSED' && manifest !== undefined)
    files.set('package.json', manifest.replace('"license"', '"private": true,\n  "license"'));
  return files;
}

/** How a value is written in files of an ending, so that it stays one string there. */
const escapes: Readonly<Record<string, (value: string) => string>> = {
  '.json': (value) => JSON.stringify(value).slice(1, -1),
  '.ts': (value) => value.replaceAll(/['\\]/g, String.raw`\$&`),
};

function filled(
  text: string,
  values: Readonly<Record<string, string>>,
  escape: (value: string) => string = (value) => value,
): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (placeholder, key: string) => {
    const value = values[key];
    return value === undefined ? placeholder : escape(value);
  });
}
