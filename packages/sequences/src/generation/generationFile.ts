/** @file Reads generation_config.json. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** How a text is searched for, by what a model's files say. */
export interface SearchSettings {
  /** Tokens that end a text; none where the files name none. */
  readonly ends: readonly number[];
  /** Tokens that are never written. */
  readonly suppress: readonly number[];
  /** Tokens that are not written first. */
  readonly beginSuppress: readonly number[];
  /** Texts that are written side by side; 1 takes the best token each time. */
  readonly beams: number;
  /** As transformers: the score of a text is divided by its length to this power. */
  readonly lengthPenalty: number;
  /** Whether a beam search ends as soon as it has as many texts as beams; `never` looks for better ones as long as it can. */
  readonly earlyStopping: boolean | 'never';
  /** Above 1, tokens that were written become less likely; 1 changes nothing. */
  readonly repetitionPenalty: number;
  /** No sequence of so many tokens is written twice; 0 allows it. */
  readonly noRepeatNgram: number;
}

/** The parsed files, and what they are called in messages. */
export interface GenerationFiles {
  /** `generation_config.json`. */
  readonly own: JsonObject;
  /** `config.json`. */
  readonly config: JsonObject;
  /** What they are called. */
  readonly where: string;
}

/** Published files have at most 4 kB. */
const LARGEST = 1_000_000;
const MAX_ID = 2 ** 31 - 1;

/** The fields of `generation_config.json`; where it is silent, those of `config.json`. Each getter throws `CONFIG_INVALID`. */
export class GenerationFile {
  /** `generation_config.json`; empty where there is none. */
  readonly own: JsonObject;
  /** `config.json`. */
  readonly config: JsonObject;
  readonly #where: string;

  /** Takes files that were read already. */
  constructor({ own, config, where }: GenerationFiles) {
    this.own = own;
    this.config = config;
    this.#where = where;
  }

  /**
   * Reads the files in the model's folder.
   * @throws OnnxLoraError `CONFIG_INVALID` for a file that cannot be read
   */
  static async read({ folder, config = {}, name }: TaskModel): Promise<GenerationFile> {
    const file = path.join(folder ?? '.', 'generation_config.json');
    const own = folder === undefined ? undefined : await readJsonObject(file, LARGEST, 'such a configuration');
    return new GenerationFile({ own: own ?? {}, config, where: own ? file : `config.json of "${name}"` });
  }

  /** The error for a field that is not what is wanted. */
  invalid(key: string, wanted: string): OnnxLoraError {
    return new OnnxLoraError(
      'CONFIG_INVALID',
      `"${key}" in ${this.#where} must be ${wanted}. Copy generation_config.json again from where the model was published.`,
    );
  }

  /** Whatever a field holds; undefined for null. */
  raw(key: string): unknown {
    return this.own[key] ?? this.config[key] ?? undefined;
  }

  /** The id of a token. */
  id(key: string): number | undefined {
    const value = this.raw(key);
    if (value === undefined || isId(value)) return value;
    throw this.invalid(key, 'the id of a token');
  }

  /** A list of ids of tokens, or one alone. */
  ids(key: string): number[] {
    const value = this.raw(key);
    const list = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    if (list.every(isId)) return list;
    throw this.invalid(key, 'a list of ids of tokens');
  }

  /** A number within bounds. */
  number(key: string, usual: number, least: number, most: number): number {
    const value = this.raw(key) ?? usual;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw this.invalid(key, `a number from ${least} to ${most}`);
  }

  /** A whole number from 0. */
  integer(key: string, usual: number, most: number): number {
    const value = this.number(key, usual, 0, most);
    if (Number.isInteger(value)) return value;
    throw this.invalid(key, 'a whole number');
  }

  /** What is said of the search, with transformers' defaults. */
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

/** Whether a value is the id of a token. */
export function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ID;
}
