/** @file Text while it is written: pieces of whole characters, up to where it is to stop. */

/** What stands where the bytes of a character are not all there: one or one for each of them, of which there are 3 at most. */
const unfinished = /\uFFFD{1,3}$/;
/** Tokens that all end within a character, before they are taken for what is none. */
const MOST_PENDING = 32;

/** Makes pieces of text of tokens. */
export class TextPieces {
  readonly #decode: (ids: readonly number[]) => string;
  readonly #stops: readonly string[];
  /** The tokens of the last piece, before which a token may be spelled otherwise, and those behind it. */
  #ids: number[] = [];
  #given = 0;
  /** Characters that were given of the tokens behind the last piece, which end within a character. */
  #early = 0;
  /** What may be the beginning of what it stops before. */
  #held = '';

  constructor(decode: (ids: readonly number[]) => string, stops: readonly string[]) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /**
   * Appends a token.
   *
   * @returns the text that is certain by now, often none; and whether the text is over
   */
  push(token: number): { readonly text: string; readonly isOver: boolean } {
    this.#ids.push(token);
    const text = this.#spelled(this.#ids.length - this.#given >= MOST_PENDING);
    return this.#upToStop(this.#held + text);
  }

  /** What was held back, where no more tokens come. */
  rest(): string {
    const { text, isOver } = this.#upToStop(this.#held + this.#spelled(true));
    const held = isOver ? '' : this.#held;
    this.#held = '';
    return text + held;
  }

  /** What the tokens behind the last piece spell, but for a character within which they end. */
  #spelled(isFinal: boolean): string {
    const whole = this.#decode(this.#ids);
    const certain = isFinal ? whole : whole.replace(unfinished, '');
    const given = this.#decode(this.#ids.slice(0, this.#given)).length + this.#early;
    const text = certain.slice(given);
    if (certain === whole) {
      this.#ids = this.#ids.slice(this.#given);
      this.#given = this.#ids.length;
      this.#early = 0;
    } else this.#early += text.length;
    return text;
  }

  #upToStop(text: string): { readonly text: string; readonly isOver: boolean } {
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) return { text: text.slice(0, Math.min(...found)), isOver: true };
    const longest = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - longest);
    return { text: text.slice(0, text.length - longest), isOver: false };
  }
}

/** How many characters at the end of the text may begin what it stops before. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
