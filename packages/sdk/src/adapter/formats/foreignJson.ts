/** @file Untrusted JSON with limits checked before parsing, and quoted names for messages. */

import { utf8 } from '../../platform/bytes.ts';

/** Deeper than any adapter's files, and safe for recursion. */
const MAX_DEPTH = 64;

/** Limits for JSON; none by default. */
export interface JsonBudget {
  /** Members of all objects. */
  readonly keys?: number;
  /** Values in all lists and objects. */
  readonly values?: number;
}

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Counts the content of JSON before parsing, since a short text can hold millions of values. Reads piece by piece. */
export class JsonMeter {
  readonly #budget: Required<JsonBudget>;
  #keys = 0;
  #values = 1;
  #depth = 0;
  #isText = false;
  #isEscaped = false;

  /** Starts at zero. */
  constructor({ keys = Infinity, values = Infinity }: JsonBudget = {}) {
    this.#budget = { keys, values };
  }

  /**
   * Reads the next piece of the text.
   * @param bytes UTF-8; a piece may end anywhere
   * @throws Error naming the exceeded limit, also for nesting deeper than 64
   */
  read(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#isText) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#isText = false;
      } else if (byte === QUOTE) this.#isText = true;
      else if (byte === COMMA) this.#values++;
      else if (byte === COLON) this.#keys++;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        this.#values++;
        if (++this.#depth > MAX_DEPTH) throw new Error(`lists and objects are nested more than ${MAX_DEPTH} deep`);
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) this.#depth--;
    }
    const { keys, values } = this.#budget;
    if (this.#keys > keys) throw new Error(`its objects have more than ${keys} members`);
    if (this.#values > values) throw new Error(`it holds more than ${values} values`);
  }
}

/** @throws Error for invalid JSON, nesting deeper than 64, or an exceeded budget */
export function parseForeignJson(text: string, budget: JsonBudget = {}): unknown {
  new JsonMeter(budget).read(utf8(text));
  return JSON.parse(text) as unknown;
}

/** True for objects other than arrays. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value for messages: quoted, escaped and truncated. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 120 ? `${text.slice(0, 117)}..."` : text;
}

/** The first three names, and how many more there are. */
export function firstNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
