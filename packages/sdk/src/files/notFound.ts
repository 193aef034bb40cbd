/** @file The error for a missing path, with suggestions. */

import { existsSync, readdirSync } from '../platform/files.ts';
import * as path from '../platform/path.ts';
import { nearest, OnnxLoraError } from '../errors.ts';

/** Larger folders are not searched for similar names. */
const MOST_ENTRIES = 10_000;

/** `There is no folder "photoz". Did you mean "photos"? Check the path.`, where `what` is `folder`. */
export function notFound(
  what: string,
  missing: string,
  { remedy = 'Check the path.', cause }: { readonly remedy?: string; readonly cause?: unknown } = {},
): OnnxLoraError {
  return new OnnxLoraError('FILE_NOT_FOUND', `There is no ${what} "${missing}".${pathHint(missing)} ${remedy}`, {
    cause,
  });
}

/** ` Did you mean "models/vit"?`: a similar name, or the same name in a subfolder, for the first missing folder. */
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
  // Similar file names often differ in meaning, so the limit is tighter than for words.
  const [near] = nearest(word, fits, 1, Math.max(2, Math.floor(word.length / 3)));
  const inside =
    near === undefined && rest === '' ? names.filter((name) => existsSync(path.join(meant(name), word))) : [];
  const found =
    near === undefined ? inside.map((name) => path.join(meant(name), word)) : [path.join(meant(near), rest)];
  return found.length === 1 ? ` Did you mean "${found[0]}"?` : '';
}

function entriesOf(folder: string): string[] | undefined {
  try {
    const names = readdirSync(folder);
    return names.length > MOST_ENTRIES ? [] : names.filter((name) => !name.startsWith('.'));
  } catch {
    return undefined;
  }
}
