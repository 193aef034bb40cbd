/** @file JSON of strangers: nothing that is nested beyond measure, and no files beyond their size. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '../../../errors.ts';

/** Lists of polygons of points have four levels; this is more than any data need. */
const MOST_LEVELS = 64;

/** True of a value with lists or objects in one another, more of them than data have. */
export function isNestedDeeply(value: unknown, levels: number = MOST_LEVELS): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isNestedDeeply(each, levels - 1));
}

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, and neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The JSON object in a file; undefined where there is no file.
 *
 * @param most bytes that the file may have
 * @param what the file is of, for messages: `a tokenizer`
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger, cannot be read, or is no object
 */
export async function readJsonObject(path: string, most: number, what: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > most) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${path}" has ${size} bytes, more than ${what} can need. Copy it again from where the model was published.`,
      );
    }
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('CONFIG_INVALID', `Cannot read "${path}": ${reason}. Check the file.`, { cause });
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (isObject(parsed) && !isNestedDeeply(parsed)) return parsed;
  } catch {
    // Reported below, like any other text that is no object.
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" is not a JSON object, or nested beyond measure. Copy it again from where the model was published.`,
  );
}
