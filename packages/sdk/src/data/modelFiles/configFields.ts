/** @file JSON of strangers, nothing of it nested beyond measure, and the typed fields of a configuration beside a model. */

import { readFile, stat } from 'node:fs/promises';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText } from '../../files/decodeText.ts';

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, and neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The text of a file beside a model; undefined where there is no file.
 *
 * @param most bytes that the file may have
 * @param what the file is of, for messages: `a tokenizer`
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger, is no text, or cannot be read
 */
export async function readModelFile(path: string, most: number, what: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size <= most) return decodeText(await readFile(path), `"${path}"`, 'CONFIG_INVALID');
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" has ${size} bytes, and ${what} has at most ${most}. Copy it again from where the model was published.`,
    );
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('CONFIG_INVALID', `Cannot read "${path}": ${reason}. Check the file.`, { cause });
  }
}

/**
 * The JSON object in a file; undefined where there is no file.
 *
 * @param most bytes that the file may have
 * @param what the file is of, for messages: `a tokenizer`
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger, cannot be read, or is no object
 */
export async function readJsonObject(path: string, most: number, what: string): Promise<JsonObject | undefined> {
  const text = await readModelFile(path, most, what);
  if (text === undefined) return undefined;
  try {
    const parsed = parseForeignJson(text);
    if (isObject(parsed)) return parsed;
  } catch {
    // Reported below, like any other text that is no object.
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" is not a JSON object, or nested beyond measure. Copy it again from where the model was published.`,
  );
}

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
