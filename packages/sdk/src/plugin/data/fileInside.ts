/** @file Files that a manifest names. */

import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { OnnxLoraError } from '../../errors.ts';

/**
 * The path of a file that a manifest names, from `folder`.
 *
 * @param option what says where names start from, for the message: `imageFolder`
 * @throws OnnxLoraError `DATA_INVALID` when it is not below `folder`: a manifest may come from a stranger
 */
export function fileInside(folder: string, name: string, place: string, option: string): string {
  const path = relative(resolve(folder), resolve(folder, name));
  const isInside = path !== '' && path.split(sep)[0] !== '..' && !isAbsolute(path) && !path.includes('\0');
  if (isInside) return join(folder, path);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: ${JSON.stringify(name)} lies outside of "${folder}". A manifest may name files of its own folder only; if this one is right, give the folder that its names start from: ${option}: '…'.`,
  );
}
