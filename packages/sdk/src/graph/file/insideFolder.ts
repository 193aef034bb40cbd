/** @file Whether a path that a stranger's file names stays inside the folder that it may name files of. */

import { realpathSync } from 'node:fs';
import path from 'node:path';

/** Whether `file` lies below `folder`, by their names alone. */
export function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative);
}

/**
 * Whether `file`, which exists, still lies below `folder` when all links are followed, or in the blob folder of the
 * Hugging Face cache, whose snapshots are links into it.
 */
export function leadsInside(file: string, folder: string): boolean {
  const snapshot = /^(.*)[/\\]snapshots[/\\][^/\\]+(?:[/\\].*)?$/.exec(folder);
  const roots = [realpathSync(folder), ...(snapshot ? [path.join(realpathSync(snapshot[1]!), 'blobs')] : [])];
  const real = realpathSync(file);
  return roots.some((root) => isInside(real, root));
}
