/** @file The user's folder for what can be made or downloaded again. */

import * as path from '../platform/path.ts';
import { environment, homedir, system } from '../platform/system.ts';

/**
 * A folder of this project's in the user's cache: in `XDG_CACHE_HOME`, else where the system keeps caches. Not made.
 * @param name what it holds: `adapters`, `datasets`, `prepared`
 */
export function cacheFolder(name: string): string {
  return path.join(userCache(), 'onnx-lora', name);
}

function userCache(): string {
  // An empty variable counts as unset: https://specifications.freedesktop.org/basedir-spec/latest/
  const { XDG_CACHE_HOME: given, LOCALAPPDATA: local } = environment;
  if (given) return given;
  if (system === 'win32' && local) return local;
  return system === 'darwin' ? path.join(homedir(), 'Library', 'Caches') : path.join(homedir(), '.cache');
}
