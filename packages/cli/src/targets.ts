/** @file What `--targets` may say. */

import { usageError } from './errors.ts';
import { splitList } from './readSettings.ts';

const PATTERN = 're:';

/**
 * `query,value` → names; `re:.*\.(query|value)` → the pattern; `all-linear` → itself.
 *
 * The sign is `re:` and not slashes, since names of ONNX nodes begin with a slash and some shells rewrite such words as
 * paths.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for what is none of these
 */
export function parseTargets(targets: string | readonly string[]): string | readonly string[] {
  if (typeof targets !== 'string') return targets;
  if (targets.startsWith(PATTERN)) {
    if (targets.length > PATTERN.length) return targets.slice(PATTERN.length);
    throw usageError('--targets re: needs a pattern after it, such as re:.*\\.(query|value).');
  }
  if (targets.length > 2 && targets.startsWith('/') && targets.endsWith('/')) {
    throw usageError(`--targets ${targets} is not understood. Write a pattern as re:${targets.slice(1, -1)}`);
  }
  if (targets.toLowerCase() === 'all-linear') return targets;
  const names = splitList(targets);
  if (names.length > 0) return names;
  throw usageError(`--targets names nothing, but it is ${JSON.stringify(targets)}. Give names such as query,value.`);
}
