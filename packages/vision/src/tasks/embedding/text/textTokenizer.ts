/** @file Text tokenizers of two-tower models. */

import { join } from '@onnx-lora/sdk/platform';
import type { Tokenizer } from '@huggingface/tokenizers';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  withTokenizerErrors,
  checkedTokenizer,
  isObject,
  type JsonObject,
  readTokenizerFile,
} from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { isSiglip } from '../features.ts';

/** A text tokenizer. */
export interface TextTokenizer {
  readonly pad: number;
  /** Most tokens of a text, if known. */
  readonly longest: number | undefined;
  /** True to pad to the longest text possible, as SigLIP was trained; else to the batch's longest. */
  readonly padsToLongest: boolean;
  /** Ids of a text with begin and end tokens, truncated inside them. */
  encode(text: string): readonly number[];
}

/** Opens the tokenizer; CLIP pads to the batch's longest, SigLIP to 64. @throws OnnxLoraError `CONFIG_INVALID` */
export async function textTokenizer(model: TaskModel): Promise<TextTokenizer> {
  if (model.folder === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is a single .onnx file, so nothing says how its texts become tokens. Put tokenizer.json and tokenizer_config.json (from where the model was published) beside it.`,
    );
  }
  const path = join(model.folder, 'tokenizer.json');
  const json = await readTokenizerFile(model.folder, 'tokenizer.json');
  if (!json) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no "${path}", so nothing says how texts become tokens for "${model.name}". Copy the file from where the model was published.`,
    );
  }
  const config = (await readTokenizerFile(model.folder, 'tokenizer_config.json')) ?? {};
  const { Tokenizer: Made } = await import('@huggingface/tokenizers');
  return tokenizerOf(
    checkedTokenizer(json, path, () => new Made(json, config)),
    json,
    config,
    model,
    path,
  );
}

function tokenizerOf(
  tokenizer: Tokenizer,
  json: JsonObject,
  config: JsonObject,
  model: TaskModel,
  path: string,
): TextTokenizer {
  const text = objectIn(model.config, 'text_config');
  const padsToLongest = isSiglip(model);
  const longest = smallest(numberIn(config, 'model_max_length'), numberIn(text, 'max_position_embeddings') ?? (padsToLongest ? 64 : undefined)); // prettier-ignore
  const padToken = config['pad_token'];
  const named = typeof padToken === 'string' ? padToken : objectIn(padToken, 'content');
  return {
    pad:
      (typeof named === 'string' ? tokenizer.token_to_id(named) : undefined) ??
      numberIn(objectIn(json, 'padding'), 'pad_id') ??
      numberIn(text, 'pad_token_id') ??
      0,
    longest,
    padsToLongest,
    encode: (each) => withTokenizerErrors(path, () => cut(tokenizer, each, longest)),
  };
}

function cut(tokenizer: Tokenizer, text: string, longest = Infinity): readonly number[] {
  const ids: readonly number[] = tokenizer.encode(text).ids;
  if (ids.length <= longest) return ids;
  const bare: readonly number[] = tokenizer.encode(text, { add_special_tokens: false }).ids;
  const marks = ids.length - bare.length;
  let front = 0;
  while (front < marks && bare.some((id, i) => ids[front + i] !== id)) front++;
  return [...ids.slice(0, front), ...bare.slice(0, longest - marks), ...ids.slice(front + bare.length)];
}

/** The padded length of a batch of texts. */
export function rowLength({ longest, padsToLongest }: TextTokenizer, texts: readonly (readonly number[])[]): number {
  if (padsToLongest && longest !== undefined) return longest;
  return texts.reduce((most, ids) => Math.max(most, ids.length), 1);
}

function objectIn(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}

/** A whole number above 0; transformers writes 1e30 for no limit. */
function numberIn(value: unknown, key: string): number | undefined {
  const found = objectIn(value, key);
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined;
}

function smallest(...values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined && value > 0) as number[];
  return known.length > 0 ? Math.min(...known) : undefined;
}
