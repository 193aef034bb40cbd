/** @file Text to token ids and back, and the tokenizers of models that write token by token: Whisper's and Moonshine's. */

import { Tokenizer } from '@huggingface/tokenizers';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { byTokenizer, checkedTokenizer, type JsonObject } from '@onnx-lora/sdk/data';

/** The vocabulary of a model that writes text. */
export interface SpeechTokenizer {
  /** Ids of a text, without any special token. */
  encode(text: string): number[];
  /** The text of ids; special tokens are left out. Ids that are no token are an error. */
  decode(ids: readonly number[]): string;
  /** The id of a special token such as `<|startoftranscript|>`; undefined where there is none. */
  idOf(token: string): number | undefined;
  /** The token of an id, special ones included. */
  tokenOf(id: number): string | undefined;
  /** Number of tokens, those added included. */
  readonly size: number;
}

/** `<|0.00|>`, `<|0.02|>` … `<|30.00|>`: what Whisper writes for the begin and end of a segment. */
export const isTimestamp: RegExp = /^<\|\d+\.\d\d\|>$/;
const timestamps = 1501;

/**
 * A tokenizer by tokenizer.json. Whisper's timestamps, which older files leave out, follow `<|notimestamps|>`.
 */
export class SubwordTokenizer implements SpeechTokenizer {
  readonly size: number;
  readonly #tokenizer: Tokenizer;
  readonly #tokens: (string | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #silent = new Set<number>();
  readonly #path: string;

  /**
   * @param path of tokenizer.json, for messages
   * @throws OnnxLoraError `CONFIG_INVALID` when it is no tokenizer
   */
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
    return byTokenizer(this.#path, () => this.#tokenizer.encode(text, { add_special_tokens: false }).ids);
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
    // Taking spaces from before full stops is for other kinds of tokens; transformers does not do it here either.
    if (spoken.length === 0) return '';
    return byTokenizer(this.#path, () => this.#tokenizer.decode(spoken, { clean_up_tokenization_spaces: false }));
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }
}
