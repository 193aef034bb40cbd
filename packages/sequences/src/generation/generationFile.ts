/** @file Reads generation_config.json. */

import { path } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** Search settings of a model's files. */
export interface SearchSettings {
  /** End-of-sequence tokens; may be empty. */
  readonly ends: readonly number[];
  /** Tokens that are never generated. */
  readonly suppress: readonly number[];
  /** Tokens that are not generated first. */
  readonly beginSuppress: readonly number[];
  /** Number of beams; 1 is greedy search. */
  readonly beams: number;
  /** As in transformers: a sequence's score is divided by its length to this power. */
  readonly lengthPenalty: number;
  /** Whether beam search stops at as many results as beams; `never` continues while better ones are possible. */
  readonly earlyStopping: boolean | 'never';
  /** Above 1, repeated tokens become less likely; 1 turns it off. */
  readonly repetitionPenalty: number;
  /** Length of token n-grams that may not repeat; 0 turns it off. */
  readonly noRepeatNgram: number;
}

/** The parsed files and their name in messages. */
export interface GenerationFiles {
  /** Content of `generation_config.json`. */
  readonly own: JsonObject;
  /** Content of `config.json`. */
  readonly config: JsonObject;
  /** Name in messages. */
  readonly where: string;
}

/** Published files have at most 4 kB. */
const LARGEST = 1_000_000;
const MAX_ID = 2 ** 31 - 1;

/** Fields of `generation_config.json`, falling back to `config.json`. Each getter throws `CONFIG_INVALID`. */
export class GenerationFile {
  /** Content of `generation_config.json`; empty without the file. */
  readonly own: JsonObject;
  /** Content of `config.json`. */
  readonly config: JsonObject;
  readonly #where: string;

  /** Takes the parsed files. */
  constructor({ own, config, where }: GenerationFiles) {
    this.own = own;
    this.config = config;
    this.#where = where;
  }

  /**
   * Reads the files of the model's folder.
   * @throws OnnxLoraError `CONFIG_INVALID` for an unreadable file
   */
  static async read({ folder, config = {}, name }: TaskModel): Promise<GenerationFile> {
    const file = path.join(folder ?? '.', 'generation_config.json');
    const own = folder === undefined ? undefined : await readJsonObject(file, LARGEST, 'such a configuration');
    return new GenerationFile({ own: own ?? {}, config, where: own ? file : `config.json of "${name}"` });
  }

  /** The error for an invalid field. */
  invalid(key: string, wanted: string): OnnxLoraError {
    return new OnnxLoraError(
      'CONFIG_INVALID',
      `"${key}" in ${this.#where} must be ${wanted}. Copy generation_config.json again from where the model was published.`,
    );
  }

  /** Value of a field; undefined for null. */
  raw(key: string): unknown {
    return this.own[key] ?? this.config[key] ?? undefined;
  }

  /** Token id. */
  id(key: string): number | undefined {
    const value = this.raw(key);
    if (value === undefined || isId(value)) return value;
    throw this.invalid(key, 'the id of a token');
  }

  /** Token ids, from a list or a single id. */
  ids(key: string): number[] {
    const value = this.raw(key);
    const list = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    if (list.every(isId)) return list;
    throw this.invalid(key, 'a list of ids of tokens');
  }

  /** Number within bounds. */
  number(key: string, usual: number, least: number, most: number): number {
    const value = this.raw(key) ?? usual;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw this.invalid(key, `a number from ${least} to ${most}`);
  }

  /** Whole number from 0. */
  integer(key: string, usual: number, most: number): number {
    const value = this.number(key, usual, 0, most);
    if (Number.isInteger(value)) return value;
    throw this.invalid(key, 'a whole number');
  }

  /** Settings of the search, with transformers' defaults. */
  search(): SearchSettings {
    const early = this.raw('early_stopping') ?? false;
    if (typeof early !== 'boolean' && early !== 'never') throw this.invalid('early_stopping', 'true, false or "never"');
    return {
      ends: this.ids('eos_token_id'),
      suppress: this.ids('suppress_tokens'),
      beginSuppress: this.ids('begin_suppress_tokens'),
      beams: this.integer('num_beams', 1, 64),
      lengthPenalty: this.number('length_penalty', 1, -100, 100),
      earlyStopping: early,
      repetitionPenalty: this.number('repetition_penalty', 1, 1e-3, 1e3),
      noRepeatNgram: this.integer('no_repeat_ngram_size', 0, 1e6),
    };
  }
}

/** Whether a value is a token id. */
export function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ID;
}
