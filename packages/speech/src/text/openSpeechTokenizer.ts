/** @file Opens the tokenizer in a model's folder. */

import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  addedTokens,
  byteLevelJson,
  isObject,
  type JsonObject,
  parseMerges,
  readTokenizerFile,
  readTokenLines,
} from '@onnx-lora/sdk/data';
import { CtcTokenizer, type CtcTokenizerOptions, type TaskModel } from '@onnx-lora/sdk/tasks';
import { isTimestamp, type SpeechTokenizer, SubwordTokenizer } from './subwordTokenizer.ts';

/** Options of the tokenizer. */
export interface SpeechTokenizerOptions {
  /** The language of a multilingual character vocabulary, such as MMS's: `eng`. */
  readonly targetLanguage?: string;
}

/**
 * Opens the tokenizer in a model's folder: tokenizer.json, or the older vocab.json with merges.txt, for encoder-decoder
 * models; vocab.json alone, a list of characters, for CTC models ({@link CtcTokenizer}).
 * @throws OnnxLoraError `CONFIG_INVALID` if none exists or can be read
 */
export async function openSpeechTokenizer(
  folder: string,
  options: SpeechTokenizerOptions = {},
): Promise<SpeechTokenizer> {
  const read = (name: string): Promise<JsonObject | undefined> => readTokenizerFile(folder, name);
  const config = (await read('tokenizer_config.json')) ?? {};
  const json = await read('tokenizer.json');
  const vocabulary = await read('vocab.json');
  const isCtc =
    /Wav2Vec2(?:CTC|Phoneme)?Tokenizer/.test(String(config['tokenizer_class'])) ||
    (isObject(json?.['decoder']) && json['decoder']['type'] === 'CTC');
  const added = (await read('added_tokens.json')) ?? {};
  const specials = { ...(await read('special_tokens_map.json')), ...config };
  const ctc = (tokens: JsonObject, name: string): CtcTokenizer =>
    ctcFrom(tokens, added, specials, join(folder, name), options);
  if (vocabulary && isCtc) return ctc(vocabulary, 'vocab.json');
  if (json) {
    const model = json['model'];
    if (isCtc && isObject(model) && isObject(model['vocab'])) return ctc(model['vocab'], 'tokenizer.json');
    return new SubwordTokenizer(json, config, join(folder, 'tokenizer.json'));
  }
  if (vocabulary) {
    const lines = await readTokenLines(join(folder, 'merges.txt'));
    if (!lines) return ctc(vocabulary, 'vocab.json');
    // Timestamps are added tokens, but not special.
    const tokens = Object.entries(added).flatMap(([content, id]) =>
      typeof id === 'number' ? [{ id, content, special: !isTimestamp.test(content) }] : [],
    );
    const json = byteLevelJson({ vocabulary, merges: parseMerges(lines), added: addedTokens(tokens, config) });
    return new SubwordTokenizer(json, config, join(folder, 'vocab.json'));
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is neither tokenizer.json nor vocab.json in "${folder}", so nothing says how texts become tokens. Copy tokenizer.json and tokenizer_config.json from where the model was published.`,
  );
}

/** A character tokenizer from vocab.json, added tokens, and the names in tokenizer_config.json. */
function ctcFrom(
  vocabulary: JsonObject,
  added: JsonObject,
  config: JsonObject,
  path: string,
  { targetLanguage }: SpeechTokenizerOptions,
): CtcTokenizer {
  const isNested = Object.values(vocabulary).some(isObject);
  const language = targetLanguage ?? textOf(config['target_lang']);
  let tokens = vocabulary;
  if (isNested) {
    const chosen = language === undefined ? undefined : vocabulary[language];
    if (!isObject(chosen)) {
      const known = Object.keys(vocabulary);
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${path}" has a vocabulary for each of ${known.length} languages, and ${language === undefined ? 'none is chosen' : `none for "${language}"`}. Choose one of ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', …' : ''}.`,
      );
    }
    tokens = chosen;
  }
  const taken = new Set(Object.values(tokens));
  const later = Object.entries(added).filter(([token, id]) => !taken.has(id) && !Object.hasOwn(tokens, token));
  const ids = [...Object.entries(tokens), ...later].map(([token, id]) => {
    if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 && id < 1_000_000) return [token, id] as const;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" gives the token "${token}" no id. Copy it again from where the model was published.`,
    );
  });
  const special = (key: string, usual: string): string => textOf(config[key]) ?? usual;
  const names: CtcTokenizerOptions = {
    blank: special('pad_token', '<pad>'),
    unknown: special('unk_token', '<unk>'),
    begin: special('bos_token', '<s>'),
    end: special('eos_token', '</s>'),
    wordDelimiter: special('word_delimiter_token', '|'),
    space: special('replace_word_delimiter_char', ' '),
    isLowerCase: config['do_lower_case'] === true,
    file: path,
  };
  return new CtcTokenizer(ids, names);
}

/** A token's text, given plainly or as an object. */
function textOf(value: unknown): string | undefined {
  const text = isObject(value) ? value['content'] : value;
  return typeof text === 'string' ? text : undefined;
}

/** The folder of a model, which has its tokenizer. @throws OnnxLoraError `CONFIG_INVALID` for a single .onnx file */
export function tokenizerFolder({ folder, name }: TaskModel): string {
  if (folder !== undefined) return folder;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${name}" is a single .onnx file without a tokenizer. Open the folder that it was published in, with tokenizer.json and config.json.`,
  );
}
