/** @file Checks that paths in untrusted files stay inside an allowed folder. */

import { realpathSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';

/** Whether `file` lies below `folder`, by name only. */
export function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative);
}

/** Whether `file` exists below `folder` with links followed, or in the Hugging Face cache's blob folder. */
export function resolvesInside(file: string, folder: string): boolean {
  const snapshot = /^(.*)[/\\]snapshots[/\\][^/\\]+(?:[/\\].*)?$/.exec(folder);
  const roots = [realpathSync(folder), ...(snapshot ? [path.join(realpathSync(snapshot[1]!), 'blobs')] : [])];
  const real = realpathSync(file);
  return roots.some((root) => isInside(real, root));
}
