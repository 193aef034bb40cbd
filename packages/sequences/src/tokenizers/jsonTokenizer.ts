/** @file Tokenizers by their tokenizer.json: WordPiece, byte-level BPE, unigram and others. */

import { Tokenizer } from '@huggingface/tokenizers';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { withTokenizerErrors, checkedTokenizer, isObject, type JsonObject } from '@onnx-lora/sdk/data';
import { type HfTokenizer, tokensIn } from './alignTokens.ts';
import {
  type DecodeOptions,
  type Frame,
  type FrameItem,
  type SequenceTokens,
  type Vocabulary,
  VocabularyTokenizer,
} from './sequenceTokenizer.ts';
import { tokenBytes, typesOf } from './tokenBytes.ts';
import { specialIds, type SpecialTokens } from './vocabularyFiles.ts';

/** Placeholders of the sequences, in no vocabulary. */
const marks = ['\u0001 first', '\u0001 second'] as const;

/** The post-processor's special tokens around one and two sequences; throws if it is unusable. */
function jsonFrame(json: JsonObject, tokenizer: HfTokenizer, path: string): Frame {
  const bare: FrameItem[] = [
    { sequence: 0, type: 0 },
    { sequence: 1, type: 0 },
  ];
  const { post_processor: processor } = tokenizer;
  if (!processor) return { single: bare.slice(0, 1), pair: bare };
  // RoBERTa's type is 0 throughout, as in the Rust tokenizers; the library has 1.
  const isRoberta = typesOf(json['post_processor']).includes('RobertaProcessing');
  const items = (pair: readonly string[] | null): FrameItem[] => {
    const made = processor.post_process([marks[0]], pair, true);
    if (!pair && !made.tokens.includes(marks[0])) throw new TypeError('its post-processor leaves sequences out');
    return made.tokens.map((token, i) => {
      const type = isRoberta ? 0 : (made.token_type_ids?.[i] ?? 0);
      if (token === marks[0] || token === marks[1]) return { sequence: token === marks[0] ? 0 : 1, type };
      const id = tokenizer.token_to_id(token);
      if (id !== undefined) return { id, type };
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${path}" puts "${token}" beside sequences, but its vocabulary does not have that token. Copy the file again from where the model was published.`,
      );
    });
  };
  const single = items(null);
  // A template may lack pairs.
  const pair = items([marks[1]]);
  return { single, pair: pair.length > 0 ? pair : [...single, bare[1]!] };
}

/** Facts about a tokenizer from files besides tokenizer.json. */
export interface TokenizerFacts {
  readonly special: SpecialTokens;
  /** Content of tokenizer_config.json. */
  readonly config: JsonObject;
  /** Padding id of config.json. */
  readonly padId: number | undefined;
  readonly maxLength: number | undefined;
  readonly path: string;
}

/** A parsed tokenizer.json. */
export interface OpenedJson {
  readonly tokenizer: HfTokenizer;
  readonly vocabulary: Vocabulary;
  /** Whether tokens have a character per byte. */
  readonly isByteLevel: boolean;
  /** Bytes of a token, if they do not depend on its neighbours. */
  readonly bytes: ((token: string) => Uint8Array) | undefined;
}

/**
 * Reads a tokenizer.json.
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid file
 */
export function openJson(json: JsonObject, { special, config, padId, maxLength, path }: TokenizerFacts): OpenedJson {
  const tokenizer = checkedTokenizer(
    json,
    path,
    () => {
      const unk = isObject(json['model']) ? json['model']['unk_token'] : undefined;
      if (typeof (unk ?? '') !== 'string') throw new TypeError('its unknown token is no text');
      const names = Object.fromEntries(Object.entries(special).map(([part, token]) => [`${part}_token`, token]));
      return new Tokenizer({ added_tokens: [], ...json }, { unk_token: unk, ...config, ...names }) as HfTokenizer;
    },
    true,
  );
  const frame = withTokenizerErrors(path, () => jsonFrame(json, tokenizer, path));
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of tokenizer.get_vocab()) if (token !== undefined) tokens[id] = token;
  const added = [...tokenizer.get_added_tokens_decoder()];
  const { ids } = specialIds((token) => tokenizer.token_to_id(token), special, padId, path);
  return {
    tokenizer,
    isByteLevel: typesOf(json['pre_tokenizer']).includes('ByteLevel'),
    bytes: tokenBytes(json['decoder'], new Set(added.map(([, { content }]) => content))),
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

/** A tokenizer of the pieces in its tokenizer.json. */
export class JsonTokenizer extends VocabularyTokenizer {
  readonly isPerLetter: boolean;
  readonly bytesOf?: (id: number) => Uint8Array | undefined;
  readonly #opened: OpenedJson;

  /** @param isPerLetter whether each letter is known to be one token */
  constructor(opened: OpenedJson, isPerLetter: boolean) {
    super(opened.vocabulary);
    this.isPerLetter = isPerLetter;
    this.#opened = opened;
    const { bytes } = opened;
    if (!bytes) return;
    this.bytesOf = (id) => {
      const token = this.tokenOf(id);
      return token === undefined || this.specialIds.has(id) ? undefined : bytes(token);
    };
  }

  /** @throws OnnxLoraError `DATA_INVALID` for text outside a vocabulary without an unknown token */
  tokens(text: string): SequenceTokens {
    const { tokenizer, isByteLevel, vocabulary } = this.#opened;
    const { tokens, starts, ends } = withTokenizerErrors(vocabulary.path, () => tokensIn(tokenizer, text, isByteLevel));
    const ids = tokens.map((token) => this.idOrUnknown(token));
    return { ids, starts, ends };
  }

  decode(ids: readonly number[], { skipSpecial = false, isExact = false }: DecodeOptions = {}): string {
    const { tokenizer, vocabulary } = this.#opened;
    const unknown = ids.find((id) => this.tokenOf(id) === undefined);
    if (unknown !== undefined) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${unknown} is no token of "${vocabulary.path}", which has ${this.size}. Check that the tokenizer is the model's own.`,
      );
    }
    const said = skipSpecial ? ids.filter((id) => !this.specialIds.has(id)) : ids;
    return said.length === 0
      ? ''
      : withTokenizerErrors(vocabulary.path, () =>
          tokenizer.decode(said, isExact ? { clean_up_tokenization_spaces: false } : {}),
        );
  }
}
