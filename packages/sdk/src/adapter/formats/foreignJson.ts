/** @file What a stranger wrote: JSON, bounded in its nesting, and names as they may stand in messages. */

/** Deeper than any file of an adapter; what walks a value by recursion would overflow the stack. */
const MAX_DEPTH = 64;

/**
 * Parses JSON text.
 *
 * @throws Error saying what is wrong with it, also when lists and objects are nested more than 64 deep
 */
export function parseForeignJson(text: string): unknown {
  const json = JSON.parse(text) as unknown;
  let level: unknown[] = [json];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new Error(`lists and objects are nested more than ${MAX_DEPTH} deep`);
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return json;
}

/** Whether a parsed value is an object. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name as it may stand in a message: quoted, escaped, and not endless. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 97)}...` : text);
}
