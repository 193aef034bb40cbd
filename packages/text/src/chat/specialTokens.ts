/** @file The special tokens of a model by the names that transformers has for them. */

import { isObject, readTokenizerFile } from '@onnx-lora/sdk/data';

/** Tokens by what they are for: `{ bos_token: '<s>', eos_token: '</s>' }`. */
export type NamedTokens = Readonly<Record<string, string>>;

/**
 * What `tokenizer_config.json` and `special_tokens_map.json` of a folder name.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for files that cannot be read
 */
export async function readNamedTokens(folder: string): Promise<NamedTokens> {
  const named: Record<string, string> = {};
  for (const file of ['special_tokens_map.json', 'tokenizer_config.json']) {
    for (const [name, token] of Object.entries((await readTokenizerFile(folder, file)) ?? {})) {
      const text = isObject(token) ? token['content'] : token;
      if (name.endsWith('_token') && typeof text === 'string') named[name] = text;
    }
  }
  return named;
}
