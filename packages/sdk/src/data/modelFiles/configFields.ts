/** @file Reads the files of a model's folder: text, JSON, and typed fields of a config. */

import { readFile, stat } from '../../platform/files.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText } from '../../files/decodeText.ts';

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, not null or an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error for a file of a model that is damaged in some way. */
export function damagedFile(path: string, problem: string, cause?: unknown): OnnxLoraError {
  const message = `"${path}" ${problem}. Copy it again from where the model was published.`;
  return new OnnxLoraError('CONFIG_INVALID', message, cause === undefined ? {} : { cause });
}

/**
 * Reads a text file of a model; undefined if it is missing.
 * @param most largest size in bytes
 * @param what the content, for messages: `a tokenizer`
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger, is not text, or cannot be read
 */
export async function readModelFile(path: string, most: number, what: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size <= most) return decodeText(await readFile(path), `"${path}"`, 'CONFIG_INVALID');
    throw damagedFile(path, `has ${size} bytes, and ${what} has at most ${most}`);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('CONFIG_INVALID', `Cannot read "${path}": ${reason}. Check the file.`, { cause });
  }
}

/** Reads a JSON object as `readModelFile` does. @throws OnnxLoraError `CONFIG_INVALID`, also for other JSON */
export async function readJsonObject(path: string, most: number, what: string): Promise<JsonObject | undefined> {
  const text = await readModelFile(path, most, what);
  if (text === undefined) return undefined;
  try {
    const parsed = parseForeignJson(text);
    if (isObject(parsed)) return parsed;
  } catch {
    // Reported below, like other values.
  }
  throw damagedFile(path, 'is not a JSON object, or nested beyond measure');
}

/** The fields of a parsed config, which may be untrusted. Absent fields and null read as undefined. */
export class ConfigFields {
  readonly #config: JsonObject;
  readonly #path: string;

  /** `path` names the file in messages. */
  constructor(config: JsonObject, path: string) {
    this.#config = config;
    this.#path = path;
  }

  /** Names of the fields that are neither null nor false. */
  get names(): string[] {
    return Object.keys(this.#config).filter((name) => this.#config[name] !== null && this.#config[name] !== false);
  }

  /** The error about this file. */
  error(message: string): OnnxLoraError {
    return new OnnxLoraError('CONFIG_INVALID', `"${this.#path}": ${message}`);
  }

  /** The error for a field that is not `what`. */
  expected(name: string, what: string): OnnxLoraError {
    // Cut, since the value may be long.
    const found = (JSON.stringify(this.raw(name)) ?? 'nothing').slice(0, 80);
    return this.error(
      `"${name}" must be ${what}, but is ${found}. Correct it, or copy the file again from where the model was published.`,
    );
  }

  /** The value of a field. */
  raw(name: string): unknown {
    return Object.hasOwn(this.#config, name) ? (this.#config[name] ?? undefined) : undefined;
  }

  /** The field, checked by `isOne`. @throws OnnxLoraError `CONFIG_INVALID` unless it is `what` */
  only<T>(name: string, what: string, isOne: (value: unknown) => value is T): T | undefined {
    const value = this.raw(name);
    if (value === undefined || isOne(value)) return value;
    throw this.expected(name, what);
  }

  /** A boolean. */
  boolean(name: string): boolean | undefined {
    return this.only(name, 'true or false', (value) => typeof value === 'boolean');
  }

  /** A string. */
  string(name: string): string | undefined {
    return this.only(name, 'a string', (value) => typeof value === 'string');
  }

  /** A number from `least` to `most`. */
  number(name: string, least: number, most: number): number | undefined {
    const isOne = (value: unknown): value is number => typeof value === 'number' && value >= least && value <= most;
    return this.only(name, `a number from ${least} to ${most}`, isOne);
  }

  /** An integer from `least` to `most`. */
  integer(name: string, least: number, most: number): number | undefined {
    const isOne = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
    return this.only(name, `a whole number from ${least} to ${most}`, isOne);
  }

  /** Accepts only the supported value, or an absent field. */
  fixed(name: string, supported: unknown): void {
    if ((this.raw(name) ?? supported) !== supported) throw this.expected(name, JSON.stringify(supported));
  }
}
