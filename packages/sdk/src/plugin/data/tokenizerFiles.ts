/** @file What all readers of tokenizers' files begin with. */

import { OnnxLoraError } from '../../errors.ts';
import { isObject, type JsonObject } from './readJsonObject.ts';

/** More than any vocabulary has; lists are made that are as long as the largest id. */
const mostTokens = 10_000_000;

/**
 * Checks the ids of a tokenizer.json, from which lists are made.
 *
 * @param path of the file, for messages
 * @throws OnnxLoraError `CONFIG_INVALID` for a token whose id is none
 */
export function checkTokenIds({ model, added_tokens: added }: JsonObject, path: string): void {
  const vocabulary = isObject(model) && isObject(model['vocab']) ? Object.entries(model['vocab']) : [];
  const later = Array.isArray(added) ? added.filter(isObject).map((token) => [token['content'], token['id']]) : [];
  for (const [token, id] of [...vocabulary, ...later]) {
    const isId = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < mostTokens;
    if (isId && typeof token === 'string') continue;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" gives the token "${String(token)}" no id from 0 to ${mostTokens}. Copy it again from where the model was published.`,
    );
  }
}

/** The lines of a merges.txt, `a b` each, without the line that says its version. */
export function parseMerges(lines: readonly string[]): readonly string[] {
  return lines.filter((line, i) => line.trim() !== '' && !(i === 0 && line.startsWith('#version')));
}
