/** @file CLIP's tokenizer, from tokenizer.json or the older vocab.json and merges.txt. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  addedTokens,
  checkedTokenizer,
  isObject,
  type JsonObject,
  parseMerges,
  readTokenizerFile,
  readTokenLines,
  withTokenizerErrors,
} from '@onnx-lora/sdk/data';

/** Turns prompts into token ids of one length. */
export interface PromptTokenizer {
  /** Tokens of every row. */
  readonly length: number;
  /** Ids of a prompt with begin and end, cut and padded to {@link length}. */
  encode(prompt: string): readonly number[];
}

/**
 * Opens the tokenizer of a pipeline's folder.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID` for missing and damaged files
 */
export async function openClipTokenizer(folder: string): Promise<PromptTokenizer> {
  const config = (await readTokenizerFile(folder, 'tokenizer_config.json')) ?? {};
  const [json, file] = await jsonOf(folder, config);
  const { Tokenizer } = await import('@huggingface/tokenizers');
  const tokenizer = checkedTokenizer(json, file, () => new Tokenizer(json, config));
  const idOf = (key: string, usual: string): number => {
    const token = contentOf(config[key]) ?? usual;
    const id = tokenizer.token_to_id(token);
    if (id !== undefined) return id;
    throw new OnnxLoraError('CONFIG_INVALID', `"${file}" has no token ${JSON.stringify(token)}, the tokenizer's ${key}. Copy the folder again.`); // prettier-ignore
  };
  const [begin, end] = [idOf('bos_token', BEGIN), idOf('eos_token', END)];
  const pad = idOf('pad_token', END);
  const given = config['model_max_length'];
  const length = typeof given === 'number' && Number.isInteger(given) && given >= 2 && given <= 4096 ? given : 77;
  return {
    length,
    encode: (prompt) => {
      const { ids } = withTokenizerErrors(file, () => tokenizer.encode(prompt, { add_special_tokens: false }));
      const row = [begin, ...ids.slice(0, length - 2), end];
      return [...row, ...Array<number>(length - row.length).fill(pad)];
    },
  };
}

const [BEGIN, END] = ['<|startoftext|>', '<|endoftext|>'] as const;

function contentOf(token: unknown): string | undefined {
  const content = isObject(token) ? token['content'] : token;
  return typeof content === 'string' ? content : undefined;
}

async function jsonOf(folder: string, config: JsonObject): Promise<readonly [JsonObject, string]> {
  const whole = await readTokenizerFile(folder, 'tokenizer.json');
  if (whole) return [whole, path.join(folder, 'tokenizer.json')];
  const vocabulary = await readTokenizerFile(folder, 'vocab.json');
  const merges = await readTokenLines(path.join(folder, 'merges.txt'));
  if (!vocabulary || !merges) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `"${folder}" has no tokenizer.json, and not both of vocab.json and merges.txt, so nothing says how prompts become tokens. Copy them from where the pipeline was published.`,
    );
  }
  return [clipJson(vocabulary, parseMerges(merges), config), path.join(folder, 'vocab.json')];
}

/** tokenizer.json as transformers converts CLIP's older files. */
function clipJson(vocab: JsonObject, merges: readonly string[], config: JsonObject): JsonObject {
  const special = [BEGIN, END].map((content) => ({ id: vocab[content], content, special: true }));
  return {
    added_tokens: addedTokens(special, config),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: String.raw`\s+` }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+` },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: null,
    model: {
      type: 'BPE',
      unk_token: END,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab,
      merges,
    },
  };
}
