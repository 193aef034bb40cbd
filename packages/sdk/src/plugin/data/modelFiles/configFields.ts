/** @file Reads typed fields of a configuration beside a model; whatever has the wrong type is an error that names file and field. */

import { OnnxLoraError } from '../../../errors.ts';
import type { JsonObject } from './json.ts';

/** The fields of one parsed configuration, which is a stranger's file. A field that is absent or null reads as undefined. */
export class ConfigFields {
  readonly #config: JsonObject;
  readonly #path: string;

  /** `path` is the file's, for messages. */
  constructor(config: JsonObject, path: string) {
    this.#config = config;
    this.#path = path;
  }

  /** Names of the fields that ask for something: those that are neither null nor false. */
  get names(): string[] {
    return Object.keys(this.#config).filter((name) => this.#config[name] !== null && this.#config[name] !== false);
  }

  /** An error about this file, to be thrown. */
  error(message: string): OnnxLoraError {
    return new OnnxLoraError('CONFIG_INVALID', `"${this.#path}": ${message}`);
  }

  /** The error for a field that is something else than `what`, to be thrown. */
  expected(name: string, what: string): OnnxLoraError {
    // Cut off, since the value is a stranger's and may be long.
    const found = (JSON.stringify(this.raw(name)) ?? 'nothing').slice(0, 80);
    return this.error(
      `"${name}" must be ${what}, but is ${found}. Correct it, or copy the file again from where the model was published.`,
    );
  }

  /** Whatever the field holds. */
  raw(name: string): unknown {
    return Object.hasOwn(this.#config, name) ? (this.#config[name] ?? undefined) : undefined;
  }

  /** The field, if it is of the kind that `isOne` tells. */
  only<T>(name: string, what: string, isOne: (value: unknown) => value is T): T | undefined {
    const value = this.raw(name);
    if (value === undefined || isOne(value)) return value;
    throw this.expected(name, what);
  }

  /** True or false. */
  boolean(name: string): boolean | undefined {
    return this.only(name, 'true or false', (value) => typeof value === 'boolean');
  }

  /** A text. */
  string(name: string): string | undefined {
    return this.only(name, 'a string', (value) => typeof value === 'string');
  }

  /** A number from `least` to `most`. */
  number(name: string, least: number, most: number): number | undefined {
    const isOne = (value: unknown): value is number => typeof value === 'number' && value >= least && value <= most;
    return this.only(name, `a number from ${least} to ${most}`, isOne);
  }

  /** A whole number from `least` to `most`. */
  integer(name: string, least: number, most: number): number | undefined {
    const isOne = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
    return this.only(name, `a whole number from ${least} to ${most}`, isOne);
  }

  /** Refuses any value but the one that is supported; an absent field is fine. */
  fixed(name: string, supported: unknown): void {
    if ((this.raw(name) ?? supported) !== supported) throw this.expected(name, JSON.stringify(supported));
  }
}
