/** @file The older files of a byte-level tokenizer, vocab.json and merges.txt, as the tokenizer.json that they amount to. */

import { isObject, type JsonObject } from '@onnx-lora/sdk/data';

/**
 * What tokenizer.json would say of a byte-level tokenizer as GPT-2's, which is Whisper's.
 *
 * @param added tokens and ids of added_tokens.json
 * @param config tokenizer_config.json, which says which of the added tokens are special
 */
export function byteLevelJson(
  vocabulary: JsonObject,
  merges: readonly string[],
  added: JsonObject,
  config: JsonObject,
): JsonObject {
  const described = isObject(config['added_tokens_decoder']) ? config['added_tokens_decoder'] : {};
  const tokens = new Map<string, { id: number; special: boolean }>();
  for (const [content, id] of Object.entries(added)) {
    // Timestamps are tokens that are not special.
    if (typeof id === 'number') tokens.set(content, { id, special: !/^<\|\d+\.\d+\|>$/.test(content) });
  }
  for (const [id, token] of Object.entries(described)) {
    if (isObject(token) && typeof token['content'] === 'string') {
      tokens.set(token['content'], { id: Number(id), special: token['special'] === true });
    }
  }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    added_tokens: [...tokens].map(([content, { id, special }]) => ({
      id,
      content,
      special,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      vocab: vocabulary,
      merges,
    },
  };
}
