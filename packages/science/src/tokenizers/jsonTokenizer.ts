/** @file Tokenizers by their tokenizer.json: WordPiece, byte-level BPE, unigram and others. */

import { Tokenizer } from '@huggingface/tokenizers';
import { byTokenizer, checkTokenIds, checkTokenizerSteps, isObject, type JsonObject } from '@onnx-lora/sdk/data';
import { tokensIn } from './alignTokens.ts';
import type { HfTokenizer } from './hfTokenizer.ts';
import { jsonFrame } from './jsonFrame.ts';
import { typesOf } from './jsonTypes.ts';
import type { SequenceTokens } from './sequenceTokenizer.ts';
import { type SpecialTokens, specialIds } from './specialTokens.ts';
import { type Vocabulary, VocabularyTokenizer } from './vocabularyTokenizer.ts';

/** What else is said of a tokenizer. */
export interface TokenizerFacts {
  readonly special: SpecialTokens;
  /** tokenizer_config.json. */
  readonly config: JsonObject;
  /** The id of padding by config.json. */
  readonly padId: number | undefined;
  readonly maxLength: number | undefined;
  /** Of the file, for messages. */
  readonly path: string;
}

/** What a tokenizer.json describes. */
export interface OpenedJson {
  readonly tokenizer: HfTokenizer;
  readonly vocabulary: Vocabulary;
  /** Whether tokens have a character for each byte. */
  readonly isByteLevel: boolean;
}

/**
 * Reads a tokenizer.json.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when it is no tokenizer
 */
export function openJson(json: JsonObject, { special, config, padId, maxLength, path }: TokenizerFacts): OpenedJson {
  checkTokenIds(json, path);
  const { tokenizer, frame } = byTokenizer(path, () => {
    const unk = isObject(json['model']) ? json['model']['unk_token'] : undefined;
    if (typeof (unk ?? '') !== 'string') throw new TypeError('its unknown token is no text');
    const names = Object.fromEntries(Object.entries(special).map(([part, token]) => [`${part}_token`, token]));
    const made = new Tokenizer({ added_tokens: [], ...json }, { unk_token: unk, ...config, ...names }) as HfTokenizer;
    return { tokenizer: made, frame: jsonFrame(json, made, path) };
  });
  checkTokenizerSteps([tokenizer.normalizer, tokenizer.pre_tokenizer], path);
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of tokenizer.get_vocab()) if (token !== undefined) tokens[id] = token;
  const added = [...tokenizer.get_added_tokens_decoder()];
  const { ids } = specialIds((token) => tokenizer.token_to_id(token), special, padId, path);
  return {
    tokenizer,
    isByteLevel: typesOf(json['pre_tokenizer']).includes('ByteLevel'),
    vocabulary: {
      tokens: Array.from(tokens),
      ...ids,
      specialIds: added.filter(([, token]) => token.special).map(([id]) => id),
      frame,
      maxLength,
      path,
    },
  };
}

/** A tokenizer of the pieces that its tokenizer.json describes. */
export class JsonTokenizer extends VocabularyTokenizer {
  readonly isPerLetter: boolean;
  readonly #opened: OpenedJson;

  /** @param isPerLetter whether each letter is known to be one token */
  constructor(opened: OpenedJson, isPerLetter: boolean) {
    super(opened.vocabulary);
    this.isPerLetter = isPerLetter;
    this.#opened = opened;
  }

  /** @throws OnnxLoraError `DATA_INVALID` for text that the vocabulary has no token for, not even one for what is unknown */
  tokens(text: string): SequenceTokens {
    const { tokenizer, isByteLevel, vocabulary } = this.#opened;
    const { tokens, starts, ends } = byTokenizer(vocabulary.path, () => tokensIn(tokenizer, text, isByteLevel));
    const ids = tokens.map((token) => this.idOrUnknown(token));
    return { ids, starts, ends };
  }
}
