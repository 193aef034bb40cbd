/**
 * @file The files of a new plugin: those of the template, with the answers in place of `{{name}}`, `{{family}}` …
 *
 * `task.classification.ts` is the `task.ts` of plugins of that kind; what has no such name beside it is the same for all. The
 * variants import each other by these names, so that editors and checks find what they import where they are.
 */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Answers, type Kind, kinds } from './answers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Version of this package and of the SDK, released together; `0.0.0` before the first release. */
export const version: string = (
  JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
).version;

/** Files of a plugin by path with `/`. */
export function filesOf(answers: Answers): Map<string, string> {
  const values = { ...answers, ...words[answers.kind], sdk: `^${version}`, year: String(new Date().getFullYear()) };
  const files = new Map<string, string>();
  const add = (name: string, source: string): void => {
    files.set(name, filled(readFileSync(path.join(root, source), 'utf8'), values, escapes[path.extname(name)]));
  };
  const template = path.join(root, 'template');
  const sources = readdirSync(template, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(template, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'));
  // Renamed, since npm obeys or omits .gitignore and .npmrc in the template, and a package has one manifest.
  const nameOf = (source: string): string => source.replace(/^_/, '.').replace(/\.template$/, '');
  for (const source of sources) if (!VARIANT.test(source)) add(nameOf(source), `template/${source}`);
  for (const source of sources) {
    if (VARIANT.exec(source)?.[1] !== answers.kind) continue;
    const name = nameOf(source.replace(VARIANT, ''));
    add(name, `template/${source}`);
    files.set(name, files.get(name)!.replaceAll(`.${answers.kind}.ts';`, ".ts';"));
  }
  if (answers.license !== 'UNLICENSED') add('LICENSE', `licenses/${answers.license}.txt`);
  const manifest = files.get('package.json');
  if (answers.license === 'UNLICENSED' && manifest !== undefined)
    files.set('package.json', manifest.replace('"license"', '"private": true,\n  "license"'));
  return files;
}

/** Marks a file of one kind: `.classification` before its ending. */
const VARIANT = new RegExp(String.raw`\.(${kinds.join('|')})(?=\.\w+$)`);

/** Words in shared files that depend on the kind. */
const words: Readonly<Record<Kind, { readonly column: string; readonly columnNote: string }>> = {
  regression: { column: 'value', columnNote: '' },
  classification: {
    column: 'label',
    columnNote:
      ' Where the model does not know the labels it gets a new head, which is trained in full and saved with the adapter; `--set head=new` makes one in any case, `--set head=keep` in none.',
  },
};

/** Escapes values as strings, by file ending. */
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
