/** @file The older files of tokenizers as the tokenizer.json that they amount to. */

import { isObject, type JsonObject } from '@onnx-lora/sdk/data';

/** RoBERTa's vocab.json and merges.txt, which is ChemBERTa's: byte-level BPE between `<s>` and `</s>`. */
export function robertaJson(vocabulary: JsonObject, merges: readonly string[], config: JsonObject): JsonObject {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: config['add_prefix_space'] === true, trim_offsets: true, use_regex: true }; // prettier-ignore
  const has = (token: string): boolean => typeof vocabulary[token] === 'number';
  const special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'].filter(has);
  return {
    added_tokens: addedTokens(
      special.map((token) => [token, vocabulary[token]]),
      config,
      (token) => token === '<mask>',
    ),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor:
      has('<s>') && has('</s>')
        ? { type: 'RobertaProcessing', cls: ['<s>', vocabulary['<s>']], sep: ['</s>', vocabulary['</s>']] }
        : null,
    decoder: byteLevel,
    model: { type: 'BPE', unk_token: has('<unk>') ? '<unk>' : null, vocab: vocabulary, merges },
  };
}

/** A BERT's vocab.txt: WordPiece between `[CLS]` and `[SEP]`, small letters unless the configuration says otherwise. */
export function wordPieceJson(tokens: readonly string[], config: JsonObject): JsonObject {
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((token) => Object.hasOwn(vocabulary, token));
  return {
    added_tokens: addedTokens(
      special.map((token) => [token, vocabulary[token]]),
      config,
    ),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config['tokenize_chinese_chars'] !== false,
      strip_accents: config['strip_accents'] ?? null,
      lowercase: config['do_lower_case'] !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'BertProcessing',
      cls: ['[CLS]', vocabulary['[CLS]']],
      sep: ['[SEP]', vocabulary['[SEP]']],
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab: vocabulary }, // prettier-ignore
  };
}

/** Special tokens, with those that tokenizer_config.json adds to the vocabulary. */
function addedTokens(
  tokens: readonly (readonly [content: string, id: unknown])[],
  config: JsonObject,
  isLeftStripped: (token: string) => boolean = () => false,
): JsonObject[] {
  const described = isObject(config['added_tokens_decoder']) ? config['added_tokens_decoder'] : {};
  const all = new Map<unknown, JsonObject>();
  for (const [content, id] of tokens) all.set(id, { id, content, special: true, lstrip: isLeftStripped(content) });
  for (const [id, token] of Object.entries(described)) {
    if (isObject(token) && typeof token['content'] === 'string') all.set(Number(id), { ...token, id: Number(id) });
  }
  const usual = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return [...all.values()].map((token) => ({ ...usual, ...token }));
}
