/** @file Texts as feeds of BERT, by the tokenizer.json of the model's folder. */

import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { withTokenizerErrors, checkTokenIds, checkTokenizerSteps, readJsonObject } from '@onnx-lora/sdk/data';

/** BERT's with a hundred languages has 9 MB. */
const largestFile = 50_000_000;

/** Makes feeds of texts. */
export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #longest: number;
  readonly #inputs: readonly string[];

  private constructor(tokenizer: Tokenizer, longest: number, inputs: readonly string[]) {
    this.#tokenizer = tokenizer;
    this.#longest = longest;
    this.#inputs = inputs;
  }

  /**
   * The tokenizer of a model.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` where the folder has none that can be read; `MODEL_UNSUPPORTED` for inputs that are
   *   not BERT's
   */
  static async open({ name, folder = '.', config, inputs }: TaskModel): Promise<TextTokenizer> {
    const known = ['input_ids', 'attention_mask', 'token_type_ids'];
    const stranger = Object.keys(inputs).find((each) => !known.includes(each));
    if (stranger !== undefined) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${name}" reads "${stranger}", but texts are fed as ${known.join(', ')}. Export the encoder alone.`,
      );
    }
    if (!inputs['attention_mask']) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${name}" does not read "attention_mask", so that padding would count. Export it with that input.`,
      );
    }
    const file = path.join(folder, 'tokenizer.json');
    const json = await readJsonObject(file, largestFile, 'a tokenizer');
    if (!json) throw new OnnxLoraError('CONFIG_INVALID', `There is no "${file}". Download it with the model.`);
    checkTokenIds(json, file);
    const other = await readJsonObject(path.join(folder, 'tokenizer_config.json'), largestFile, 'a tokenizer');
    const longest = Math.min(Number(config?.['max_position_embeddings'] ?? 512), Number(other?.['model_max_length'] ?? Infinity)); // prettier-ignore
    const tokenizer = withTokenizerErrors(file, () => new Tokenizer(json, other ?? {}));
    // The file may come from a stranger, and what it does with texts is bounded here.
    checkTokenizerSteps([tokenizer.normalizer, tokenizer.pre_tokenizer], file);
    return new TextTokenizer(tokenizer, longest, Object.keys(inputs));
  }

  /** Ids of a text between `[CLS]` and `[SEP]`, cut to what the model takes. */
  ids(text: string): number[] {
    const { ids } = this.#tokenizer.encode(text);
    return ids.length <= this.#longest ? ids : [...ids.slice(0, this.#longest - 1), ids.at(-1)!];
  }

  /** Rows filled up to the longest, each `[rows, tokens]`, and the mask, which is 0 for what was filled in. */
  feeds(rows: readonly (readonly number[])[]): { readonly inputs: Feeds; readonly mask: Feeds[string] } {
    const tokens = Math.max(...rows.map(({ length }) => length));
    const filled = (of: (row: readonly number[], at: number) => number): Feeds[string] =>
      int64(
        rows.flatMap((row) => Array.from({ length: tokens }, (_, at) => of(row, at))),
        [rows.length, tokens],
      );
    const mask = filled((row, at) => Number(at < row.length));
    // A masked token may be any token; BERT's padding is 0.
    const all = { input_ids: filled((row, at) => row[at] ?? 0), attention_mask: mask, token_type_ids: filled(() => 0) };
    const inputs = Object.entries(all).filter(([name]) => this.#inputs.includes(name));
    return { inputs: Object.fromEntries(inputs), mask };
  }
}
