/** @file What all readers of tokenizers' files begin with: reading them, the older ones as a tokenizer.json, and checks. */

import { join } from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import { isObject, type JsonObject, readJsonObject, readModelFile } from './configFields.ts';
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

/** Those of several hundred thousand tokens have 35 MB. */
const largestFile = 200_000_000;

/**
 * A JSON file of the tokenizer in a model's folder; undefined where there is none.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger than any tokenizer, cannot be read, or is no object
 */
export function readTokenizerFile(folder: string, name: string): Promise<JsonObject | undefined> {
  return readJsonObject(join(folder, name), largestFile, 'a tokenizer');
}

/** The vocabulary of a BERT of a hundred languages has 1 MB. */
const mostLineBytes = 16 * 2 ** 20;

/**
 * The lines of a text file, such as a vocabulary with a token in each, without empty ones at the end; undefined where there is no
 * file.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger than a vocabulary can be, or cannot be read
 */
export async function readTokenLines(file: string): Promise<readonly string[] | undefined> {
  const text = await readModelFile(file, mostLineBytes, 'a vocabulary');
  return text
    ?.replace(/^\uFEFF/, '')
    .trimEnd()
    .split(/\r\n|\n|\r/);
}

/**
 * `added_tokens` of a tokenizer.json: the tokens that are given, and those that tokenizer_config.json describes, which override
 * given ones of the same id.
 */
export function addedTokens(
  tokens: readonly {
    readonly id: unknown;
    readonly content: string;
    readonly special: boolean;
    readonly lstrip?: boolean;
  }[],
  config: JsonObject,
): JsonObject[] {
  const described = isObject(config['added_tokens_decoder']) ? config['added_tokens_decoder'] : {};
  const all = new Map<unknown, JsonObject>(tokens.map((token) => [token.id, token]));
  for (const [id, token] of Object.entries(described)) {
    if (isObject(token) && typeof token['content'] === 'string') all.set(Number(id), { ...token, id: Number(id) });
  }
  const usual = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return [...all.values()].map((token) => ({ ...usual, ...token }));
}

/** What stands in older files beside the vocabulary of a byte-level tokenizer. */
export interface ByteLevelFiles {
  /** vocab.json. */
  readonly vocabulary: JsonObject;
  /** merges.txt, by {@link parseMerges}. */
  readonly merges: readonly string[];
  /** As {@link addedTokens} gives them. */
  readonly added: readonly JsonObject[];
  /** Whether a space is put in front of a text that has none; not by default. */
  readonly addsPrefixSpace?: boolean;
  /** The token of what is in no vocabulary; none by default. */
  readonly unknown?: string | null;
  /** What stands around a text; nothing by default. */
  readonly processor?: JsonObject | null;
}

/** What tokenizer.json would say of a byte-level tokenizer as GPT-2's, which is RoBERTa's and Whisper's. */
export function byteLevelJson(files: ByteLevelFiles): JsonObject {
  const { vocabulary, merges, added, addsPrefixSpace = false, unknown = null, processor = null } = files;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: addsPrefixSpace, trim_offsets: true, use_regex: true };
  return {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: processor,
    decoder: byteLevel,
    model: { type: 'BPE', unk_token: unknown, continuing_subword_prefix: '', end_of_word_suffix: '', vocab: vocabulary, merges }, // prettier-ignore
  };
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

/**
 * A tokenizer of `@huggingface/tokenizers` by a stranger's tokenizer.json, with all that is to be checked of it.
 *
 * @param make it, once its ids are checked
 * @param doesDecode whether ids are made text again, so that its decoder is used too
 * @throws OnnxLoraError `CONFIG_INVALID` for what is no tokenizer, or would keep the program busy for ever
 */
export function checkedTokenizer<
  T extends { readonly normalizer: unknown; readonly pre_tokenizer: unknown; readonly decoder?: unknown },
>(json: JsonObject, path: string, make: () => T, doesDecode = false): T {
  checkTokenIds(json, path);
  const tokenizer = byTokenizer(path, make);
  const { normalizer, pre_tokenizer: pre, decoder } = tokenizer;
  checkTokenizerSteps([normalizer, pre, ...(doesDecode ? [decoder] : [])], path);
  return tokenizer;
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
