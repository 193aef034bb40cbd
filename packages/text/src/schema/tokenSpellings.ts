/** @file Which tokens of a vocabulary may follow a text: all are spelled at once, what they have in common once. */

import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { JsonState } from './jsonState.ts';

/** The bytes of all tokens of a vocabulary that spell any. */
export class TokenSpellings {
  readonly #size: number;
  /** In the order of their bytes, each as a text with a character for a byte. */
  readonly #texts: readonly string[];
  readonly #ids: readonly number[];
  /** How many bytes each has in common with the one before it. */
  readonly #common: readonly number[];
  readonly #byId: readonly (string | undefined)[];

  constructor(size: number, bytesOf: NonNullable<SequenceTokenizer['bytesOf']>) {
    this.#size = size;
    this.#byId = Array.from({ length: size }, (_, id) => {
      const bytes = bytesOf(id);
      return bytes && bytes.length > 0 ? Buffer.from(bytes).toString('latin1') : undefined;
    });
    const ids = [...this.#byId.keys()].filter((id) => this.#byId[id] !== undefined);
    this.#ids = ids.sort((a, b) => (this.#byId[a]! < this.#byId[b]! ? -1 : 1));
    this.#texts = this.#ids.map((id) => this.#byId[id]!);
    this.#common = this.#texts.map((text, i) => commonLength(text, this.#texts[i - 1] ?? ''));
  }

  /** Whether there is a token for each of the bytes alone. */
  hasEach(bytes: Iterable<number>): boolean {
    const single = new Set(this.#texts.filter((text) => text.length === 1));
    return [...bytes].every((byte) => single.has(String.fromCharCode(byte)));
  }

  /** The state behind tokens; undefined where they cannot be. */
  behind(start: JsonState, tokens: readonly number[]): JsonState | undefined {
    let state: JsonState | undefined = start;
    for (const token of tokens) {
      const text = this.#byId[token];
      if (text === undefined) return undefined;
      for (let at = 0; at < text.length && state; at++) state = state.after(text.charCodeAt(at));
    }
    return state;
  }

  /** The tokens that may follow: a bit for each id, 32 in a word. */
  allowed(state: JsonState): Uint32Array {
    const found = new Uint32Array(Math.ceil(this.#size / 32));
    // The states behind each byte of a token, up to the first that cannot be.
    const states: JsonState[] = [state];
    let reached = 0;
    for (const [i, text] of this.#texts.entries()) {
      const common = this.#common[i]!;
      // It begins as the last one did, with the byte that could not be.
      if (common > reached) continue;
      for (reached = common; reached < text.length; reached++) {
        const next = states[reached]!.after(text.charCodeAt(reached));
        if (!next) break;
        states[reached + 1] = next;
      }
      const id = this.#ids[i]!;
      if (reached === text.length) found[id >>> 5]! |= 1 << (id & 31);
    }
    return found;
  }
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
