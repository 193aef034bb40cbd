/** @file Settings that are a name, or JSON with a name and settings of its own. */

import { usageError } from '../terminal/errors.ts';

/** What has a name, and settings beside it. */
export interface Named {
  readonly name: string;
  readonly [setting: string]: unknown;
}

/**
 * A name, or what the JSON says.
 *
 * @param flag where it was given: `--tuner`
 * @param example a name for the remedy
 * @throws OnnxLoraError `CONFIG_INVALID` for JSON without a name
 */
export function namedOrJson(text: string, flag: string, example: string): string | Named {
  if (!text.startsWith('{')) return text;
  const named = parsed(text);
  if (typeof named?.name === 'string') return named;
  throw usageError(`${flag} must be a name, or JSON such as {"name":"${example}"}, but it is ${text}.`);
}

/** The name in a text that may be JSON; undefined for JSON that has none, of which {@link namedOrJson} tells. */
export function nameIn(text: string): string | undefined {
  if (!text.startsWith('{')) return text;
  const name: unknown = parsed(text)?.name;
  return typeof name === 'string' ? name : undefined;
}

function parsed(json: string): Named | undefined {
  try {
    return JSON.parse(json) as Named;
  } catch {
    return undefined;
  }
}
