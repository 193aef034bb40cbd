/** @file The tokenizer's interface, and the subword tokenizers of Whisper and Moonshine. */

import { Tokenizer } from '@huggingface/tokenizers';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { withTokenizerErrors, checkedTokenizer, type JsonObject } from '@onnx-lora/sdk/data';

/** A speech model's tokenizer. */
export interface SpeechTokenizer {
  /** Ids of a text, without special tokens. */
  encode(text: string): number[];
  /** The text of ids, without special tokens. Unknown ids are an error. */
  decode(ids: readonly number[]): string;
  /** The id of a special token such as `<|startoftranscript|>`, if it exists. */
  idOf(token: string): number | undefined;
  /** The token of an id, special ones included. */
  tokenOf(id: number): string | undefined;
  /** Number of tokens, added ones included. */
  readonly size: number;
}

/** Whisper's times of segments: `<|0.00|>`, `<|0.02|>` … `<|30.00|>`. */
export const isTimestamp: RegExp = /^<\|\d+\.\d\d\|>$/;
const timestamps = 1501;

/** A tokenizer from tokenizer.json. Missing timestamps, as in Whisper's older files, follow `<|notimestamps|>`. */
export class SubwordTokenizer implements SpeechTokenizer {
  readonly size: number;
  readonly #tokenizer: Tokenizer;
  readonly #tokens: (string | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #silent = new Set<number>();
  readonly #path: string;

  /** @throws OnnxLoraError `CONFIG_INVALID` for an invalid tokenizer, naming its `path` */
  constructor(json: JsonObject, config: JsonObject, path: string) {
    this.#path = path;
    this.#tokenizer = checkedTokenizer(json, path, () => new Tokenizer(json, config), true);
    for (const [token, id] of this.#tokenizer.get_vocab()) {
      if (token !== undefined) this.#put(token, id);
    }
    const added = this.#tokenizer.get_added_tokens_decoder();
    for (const [id, { content, special }] of added) if (special || isTimestamp.test(content)) this.#silent.add(id);
    const none = this.#ids.get('<|notimestamps|>');
    if (none !== undefined && !this.#ids.has('<|0.00|>')) {
      for (let i = 0; i < timestamps; i++) {
        const id = none + 1 + i;
        if (this.#tokens[id] !== undefined) break;
        this.#put(`<|${(i * 0.02).toFixed(2)}|>`, id);
        this.#silent.add(id);
      }
    }
    this.size = this.#tokens.length;
  }

  #put(token: string, id: number): void {
    this.#tokens[id] = token;
    this.#ids.set(token, id);
  }

  encode(text: string): number[] {
    if (text === '') return [];
    return withTokenizerErrors(this.#path, () => this.#tokenizer.encode(text, { add_special_tokens: false }).ids);
  }

  decode(ids: readonly number[]): string {
    const spoken = ids.filter((id) => {
      if (this.#tokens[id] === undefined) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `${id} is no token of "${this.#path}", which has ${this.size}. Check that the tokenizer is the model's own.`,
        );
      }
      return !this.#silent.has(id);
    });
    // The clean-up of spaces before full stops is for other tokenizers; transformers skips it here too.
    if (spoken.length === 0) return '';
    return withTokenizerErrors(this.#path, () =>
      this.#tokenizer.decode(spoken, { clean_up_tokenization_spaces: false }),
    );
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }
}
