/** @file The error for a path that leads nowhere, with the names that were perhaps meant. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { nearest, OnnxLoraError } from '../errors.ts';

/** In a folder of more entries nobody's typing error is looked for. */
const MOST_ENTRIES = 10_000;

/**
 * `There is no folder "photoz". Did you mean "photos"? Check the path.`
 *
 * @param what the kind of thing that was looked for, such as `file or folder`
 * @param options with the last sentence, where the path is not all that can be wrong
 * @returns an error `FILE_NOT_FOUND`
 */
export function notFound(
  what: string,
  missing: string,
  { remedy = 'Check the path.', cause }: { readonly remedy?: string; readonly cause?: unknown } = {},
): OnnxLoraError {
  return new OnnxLoraError('FILE_NOT_FOUND', `There is no ${what} "${missing}".${pathHint(missing)} ${remedy}`, {
    cause,
  });
}

/**
 * ` Did you mean "models/vit"?` of what lies in the same folder, or by the same name in one inside; of several missing folders
 * the first is looked at, where the rest of the path is there with another name of it.
 */
export function pathHint(missing: string): string {
  return hintWith(missing, '');
}

function hintWith(missing: string, rest: string): string {
  const parent = path.dirname(missing);
  const word = path.basename(missing);
  const names = entriesOf(parent);
  if (!names) return parent === missing || parent === '.' ? '' : hintWith(parent, path.join(word, rest));
  const meant = (name: string): string => `${missing.slice(0, missing.lastIndexOf(word))}${name}`;
  const fits = names.filter((name) => name !== word && (rest === '' || existsSync(path.join(meant(name), rest))));
  // Names of files are like each other where they do not mean the same: tighter than for words of a language.
  const [near] = nearest(word, fits, 1, Math.max(2, Math.floor(word.length / 3)));
  const inside =
    near === undefined && rest === '' ? names.filter((name) => existsSync(path.join(meant(name), word))) : [];
  const found =
    near === undefined ? inside.map((name) => path.join(meant(name), word)) : [path.join(meant(near), rest)];
  return found.length === 1 ? ` Did you mean "${found[0]}"?` : '';
}

/** Names in a folder that are not hidden; undefined where it cannot be read. */
function entriesOf(folder: string): string[] | undefined {
  try {
    const names = readdirSync(folder);
    return names.length > MOST_ENTRIES ? [] : names.filter((name) => !name.startsWith('.'));
  } catch {
    return undefined;
  }
}
