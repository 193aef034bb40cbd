/** @file Reads and checks the files of tokenizers, converting older ones to tokenizer.json. */

import { join } from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { damagedFile, isObject, type JsonObject, readJsonObject, readModelFile } from './configFields.ts';
import { backtrackingReason } from './regexCost.ts';

/** Above any vocabulary; arrays are as long as the largest id. */
const mostTokens = 10_000_000;

/** Longest word for WordPiece, whose time is cubic in it. Real files say 100. */
const longestWord = 1000;

/**
 * Checks the token ids of a tokenizer.json, which determine the size of arrays, and WordPiece's limit of words; `path`
 * names the file in messages.
 * @throws OnnxLoraError `CONFIG_INVALID` for a token without a valid id, and for a limit that would take too long
 */
export function checkTokenIds({ model, added_tokens: added }: JsonObject, path: string): void {
  const vocabulary = isObject(model) && isObject(model['vocab']) ? Object.entries(model['vocab']) : [];
  const pieces = isObject(model) && Array.isArray(model['vocab']) ? (model['vocab'] as unknown[]) : [];
  if (!pieces.every((piece) => Array.isArray(piece) && typeof piece[0] === 'string' && typeof piece[1] === 'number')) {
    throw damagedFile(path, 'has a vocabulary that is no list of tokens and their scores');
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
    throw damagedFile(path, `gives the token "${String(token)}" no id from 0 to ${mostTokens}`);
  }
}

/** Tokenizers of several hundred thousand tokens have 35 MB. */
const largestFile = 200_000_000;

/** Reads a tokenizer's JSON file; undefined if it is missing. @throws OnnxLoraError `CONFIG_INVALID` */
export function readTokenizerFile(folder: string, name: string): Promise<JsonObject | undefined> {
  return readJsonObject(join(folder, name), largestFile, 'a tokenizer');
}

/** The vocabulary of multilingual BERT has 1 MB. */
const mostLineBytes = 16 * 2 ** 20;

/** Lines of a text file, such as a vocabulary; undefined if it is missing. @throws OnnxLoraError `CONFIG_INVALID` */
export async function readTokenLines(file: string): Promise<readonly string[] | undefined> {
  const text = await readModelFile(file, mostLineBytes, 'a vocabulary');
  return text
    ?.replace(/^\uFEFF/, '')
    .trimEnd()
    .split(/\r\n|\n|\r/);
}

/** Makes `added_tokens` of a tokenizer.json; the tokens of tokenizer_config.json override those given, by id. */
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

/** Contents of older files of a byte-level tokenizer. */
export interface ByteLevelFiles {
  /** vocab.json. */
  readonly vocabulary: JsonObject;
  /** merges.txt, by {@link parseMerges}. */
  readonly merges: readonly string[];
  /** The result of {@link addedTokens}. */
  readonly added: readonly JsonObject[];
  /** Whether to prepend a space to texts without one; false by default. */
  readonly addsPrefixSpace?: boolean;
  /** The unknown token; none by default. */
  readonly unknown?: string | null;
  /** The post-processor; none by default. */
  readonly processor?: JsonObject | null;
}

/** Makes a tokenizer.json for a byte-level tokenizer such as GPT-2's, RoBERTa's or Whisper's. */
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

/** The lines of a merges.txt, `a b` each, without its version. */
export function parseMerges(lines: readonly string[]): readonly string[] {
  return lines.filter((line, i) => line.trim() !== '' && !(i === 0 && line.startsWith('#version')));
}

/** Reports a library's errors, which are about internals, as a damaged file. @throws OnnxLoraError `CONFIG_INVALID` */
export function withTokenizerErrors<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw damagedFile(
      path,
      `cannot be read as a tokenizer: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

/**
 * Makes a tokenizer of `@huggingface/tokenizers` from an untrusted tokenizer.json, with all checks.
 * @param make makes it once the ids are checked
 * @param doesDecode whether the decoder is used too
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid tokenizer, and for one that would take too long
 */
export function checkedTokenizer<
  T extends { readonly normalizer: unknown; readonly pre_tokenizer: unknown; readonly decoder?: unknown },
>(json: JsonObject, path: string, make: () => T, doesDecode = false): T {
  checkTokenIds(json, path);
  const tokenizer = withTokenizerErrors(path, make);
  const { normalizer, pre_tokenizer: pre, decoder } = tokenizer;
  checkTokenizerSteps([normalizer, pre, ...(doesDecode ? [decoder] : [])], path);
  return tokenizer;
}

const mostGrowth = 10_000;
/** Largest number of a tokenizer's steps and their settings, vocabularies aside. */
const mostValues = 100_000;

/**
 * Checks the steps of a tokenizer of `@huggingface/tokenizers`, since an untrusted tokenizer.json can hang the program:
 * by a regular expression with catastrophic backtracking, or by replacements that double a text again and again.
 * @param steps the steps before and after the model: `[normalizer, pre_tokenizer, decoder]`
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
      const slow = backtrackingReason(step);
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
