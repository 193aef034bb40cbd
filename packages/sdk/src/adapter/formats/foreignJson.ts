/** @file JSON of a stranger, bounded before it is parsed, and names as they may stand in messages. */

/** Deeper than any file of an adapter; what walks a value by recursion would overflow the stack. */
const MAX_DEPTH = 64;

/** How much JSON may hold; there is no bound where none is given. */
export interface JsonBudget {
  /** Members of all objects together. */
  readonly keys?: number;
  /** Values in all lists and objects together. */
  readonly values?: number;
}

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Counts what JSON holds, before any of it is parsed: a short text can hold millions of values, and parsing them holds up all else.
 * The text is read in pieces, so that a caller may do other work between two of them.
 */
export class JsonMeter {
  readonly #budget: Required<JsonBudget>;
  #keys = 0;
  #values = 1;
  #depth = 0;
  #isText = false;
  #isEscaped = false;

  /** Counts from nothing. */
  constructor({ keys = Infinity, values = Infinity }: JsonBudget = {}) {
    this.#budget = { keys, values };
  }

  /**
   * Reads the next piece of the text.
   *
   * @param bytes UTF-8; a piece may end anywhere
   * @throws Error that says which bound is passed; also where lists and objects are nested more than 64 deep
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

/**
 * Parses JSON text.
 *
 * @throws Error saying what is wrong with it, also when lists and objects are nested more than 64 deep, or it passes the budget
 */
export function parseForeignJson(text: string, budget: JsonBudget = {}): unknown {
  new JsonMeter(budget).read(Buffer.from(text));
  return JSON.parse(text) as unknown;
}

/** Whether a parsed value is an object. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name as it may stand in a message: quoted, escaped, and not endless. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 97)}...` : text);
}
