/** @file What all readers of tokenizers' files begin with. */

import { OnnxLoraError } from '../../errors.ts';
import { isObject, type JsonObject } from './json.ts';
import { slowness } from './regexCost.ts';

/** More than any vocabulary has; lists are made that are as long as the largest id. */
const mostTokens = 10_000_000;

/** Longest word that WordPiece may take apart: twice as long takes eight times as long. Real files say 100. */
const longestWord = 1000;

/**
 * Checks the ids of a tokenizer.json, from which lists are made, and how long the words may be that WordPiece takes apart.
 *
 * @param path of the file, for messages
 * @throws OnnxLoraError `CONFIG_INVALID` for a token whose id is none, and for words of a length that would keep a program busy
 */
export function checkTokenIds({ model, added_tokens: added }: JsonObject, path: string): void {
  const vocabulary = isObject(model) && isObject(model['vocab']) ? Object.entries(model['vocab']) : [];
  const pieces = isObject(model) && Array.isArray(model['vocab']) ? (model['vocab'] as unknown[]) : [];
  if (!pieces.every((piece) => Array.isArray(piece) && typeof piece[0] === 'string' && typeof piece[1] === 'number')) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" has a vocabulary that is no list of tokens and their scores. Copy it again from where the model was published.`,
    );
  }
  const longest = isObject(model) ? (model['max_input_chars_per_word'] ?? 100) : 100;
  if (typeof longest !== 'number' || !(longest >= 0 && longest <= longestWord)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" has WordPiece take words of ${JSON.stringify(longest).slice(0, 80)} characters apart (max_input_chars_per_word), which could keep the program busy for ever. Write a number up to ${longestWord}.`,
    );
  }
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

/**
 * What a tokenizer does, or the error that its file is damaged: libraries trust a tokenizer.json, and fail on a wrong one with
 * words about their own insides.
 *
 * @param path of the file, for messages
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function byTokenizer<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" cannot be read as a tokenizer: ${cause instanceof Error ? cause.message : String(cause)}. Copy it again from where the model was published.`,
      { cause },
    );
  }
}

/** How much longer the replacements of a tokenizer may make a text. */
const mostGrowth = 10_000;
/** Steps of a tokenizer, and values in their settings; vocabularies are no part of them. */
const mostValues = 100_000;

/**
 * Checks what a tokenizer of `@huggingface/tokenizers` does with texts: a tokenizer.json comes from a stranger, and one that
 * is made for it stops the program at the first text, with an expression that takes twice as long for each letter, or with
 * replacements that double a text again and again.
 *
 * @param steps what it does before and after its model: `[normalizer, pre_tokenizer, decoder]`
 * @param path of the file, for messages
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function checkTokenizerSteps(steps: readonly unknown[], path: string): void {
  const refuse = (what: string): never => {
    throw new OnnxLoraError('CONFIG_INVALID', `"${path}" ${what}. Take the model from a source that you trust.`);
  };
  let growth = 1;
  const seen = new Set<object>();
  const waiting = steps.filter((step) => step !== null && step !== undefined);
  while (waiting.length > 0) {
    const step = waiting.pop();
    if (typeof step !== 'object' && typeof step !== 'function') continue;
    if (step === null || seen.has(step)) continue;
    seen.add(step);
    if (seen.size > mostValues) refuse('has more steps than any tokenizer');
    if (step instanceof RegExp) {
      const slow = slowness(step);
      if (slow !== undefined) {
        const source = step.source.length > 80 ? `${step.source.slice(0, 77)}...` : step.source;
        refuse(`has the expression ${JSON.stringify(source)}, which could keep the program busy for ever: ${slow}`);
      }
      continue;
    }
    const { type, content } = step as JsonObject;
    if (type === 'Replace' && typeof content === 'string') growth *= Math.max(1, content.length);
    if (growth > mostGrowth) refuse(`makes texts more than ${mostGrowth} times as long by its replacements`);
    // Maps hold vocabularies and caches.
    if (!(step instanceof Map)) for (const value of Object.values(step)) waiting.push(value);
  }
}
