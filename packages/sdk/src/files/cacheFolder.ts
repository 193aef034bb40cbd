/** @file The user's folder for what can be made or downloaded again. */

import { homedir } from 'node:os';
import path from 'node:path';

/**
 * A folder of this project's in the user's cache: in `XDG_CACHE_HOME`, else where the system keeps caches. Not made.
 * @param name what it holds: `adapters`, `datasets`, `prepared`
 */
export function cacheFolder(name: string): string {
  return path.join(userCache(), 'onnx-lora', name);
}

function userCache(): string {
  // An empty variable counts as unset: https://specifications.freedesktop.org/basedir-spec/latest/
  const { XDG_CACHE_HOME: given, LOCALAPPDATA: local } = process.env;
  if (given) return given;
  if (process.platform === 'win32' && local) return local;
  return process.platform === 'darwin' ? path.join(homedir(), 'Library', 'Caches') : path.join(homedir(), '.cache');
}
