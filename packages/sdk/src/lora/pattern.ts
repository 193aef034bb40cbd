/**
 * @file Parser of Python's regular expressions, as PEFT's configs use them. patternMatch.ts matches the tree in bounded
 *   time, since patterns come from untrusted adapters, and JavaScript's backtracking can take years for a short one.
 */

import { quote } from '../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../errors.ts';

/** A parsed pattern. `set` matches one character, `look` none. */
export type PatternNode =
  | { readonly kind: 'set'; readonly has: (char: string) => boolean }
  | { readonly kind: 'start' | 'end' | 'word' | 'notWord' }
  | { readonly kind: 'all' | 'any'; readonly of: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly of: PatternNode; readonly min: number; readonly max: number }
  | { readonly kind: 'look'; readonly of: PatternNode; readonly ahead: boolean; readonly wanted: boolean };

const MAX_LENGTH = 20_000;
const MAX_DEPTH = 50;
const MAX_COUNT = 1000;

/**
 * Parses a Python pattern: all of `re` except back references, conditions, atomic groups, possessive quantifiers and
 * flags other than a leading (?i).
 * @param where name of the pattern in errors, such as `targetModules`
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid, unsupported or too long pattern
 */
export function parsePattern(source: string, where: string): PatternNode {
  if (source.length > MAX_LENGTH) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The pattern in ${where} has ${source.length} characters, and at most ${MAX_LENGTH} are allowed. List the modules instead.`,
    );
  }
  return new Parser(source, where).parse();
}

class Parser {
  readonly #source: string;
  readonly #where: string;
  #at = 0;
  #ignoreCase = false;

  constructor(source: string, where: string) {
    this.#source = source;
    this.#where = where;
  }

  parse(): PatternNode {
    const flags = /^\(\?([aiLmsux]+)\)/.exec(this.#source);
    if (flags) {
      if (flags[1] !== 'i') this.#fail(`the flags (?${flags[1]!}) are not supported, only (?i) is`);
      this.#ignoreCase = true;
      this.#at = flags[0].length;
    }
    const node = this.#alternatives(0);
    if (this.#at < this.#source.length) this.#fail('a ")" has no "("');
    return node;
  }

  #alternatives(depth: number): PatternNode {
    if (depth > MAX_DEPTH) this.#fail(`groups are nested more than ${MAX_DEPTH} deep`);
    const of = [this.#sequence(depth)];
    while (this.#take('|')) of.push(this.#sequence(depth));
    return of.length === 1 ? of[0]! : { kind: 'any', of };
  }

  #sequence(depth: number): PatternNode {
    const of: PatternNode[] = [];
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) {
      const node = this.#atom(depth);
      if (node) of.push(this.#quantified(node));
    }
    return of.length === 1 ? of[0]! : { kind: 'all', of };
  }

  /** One element without its quantifier; undefined for a comment. */
  #atom(depth: number): PatternNode | undefined {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return this.#class();
      case '.':
        return { kind: 'set', has: (c) => c !== '\n' };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        return this.#fail(`there is nothing that "${char}" could repeat`);
      default:
        return this.#literal(char);
    }
  }

  #group(depth: number): PatternNode | undefined {
    let look: { ahead: boolean; wanted: boolean } | undefined;
    if (this.#take('?')) {
      if (this.#take('#')) {
        const end = this.#source.indexOf(')', this.#at);
        if (end < 0) this.#fail('a comment is not closed');
        this.#at = end + 1;
        return undefined;
      }
      if (this.#take('=')) look = { ahead: true, wanted: true };
      else if (this.#take('!')) look = { ahead: true, wanted: false };
      else if (this.#take('<=')) look = { ahead: false, wanted: true };
      else if (this.#take('<!')) look = { ahead: false, wanted: false };
      else if (!this.#take(':')) {
        const name = /^P<[A-Za-z_]\w*>/.exec(this.#source.slice(this.#at, this.#at + 100));
        if (!name) this.#fail(`the group "(?${this.#source.slice(this.#at, this.#at + 4)}" is not supported`);
        this.#at += name[0].length;
      }
    }
    const of = this.#alternatives(depth + 1);
    if (!this.#take(')')) this.#fail('a "(" is not closed');
    return look ? { kind: 'look', of, ...look } : of;
  }

  #quantified(node: PatternNode): PatternNode {
    const range = this.#quantifier();
    if (!range) return node;
    // Lazy or greedy does not change whether a pattern matches.
    if (!this.#take('?') && this.#sees('+')) this.#fail('possessive quantifiers are not supported');
    if (this.#quantifier()) this.#fail('one quantifier follows another');
    return { kind: 'repeat', of: node, ...range };
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Infinity };
    if (this.#take('+')) return { min: 1, max: Infinity };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (!this.#sees('{')) return undefined;
    const counts = /^\{(\d{0,9})(,?)(\d{0,9})\}/.exec(this.#source.slice(this.#at, this.#at + 24));
    // As in Python, braces that hold no counts are literal.
    if (!counts || counts[0] === '{}') return undefined;
    this.#at += counts[0].length;
    const min = Number(counts[1]);
    const max = counts[2] === '' ? min : counts[3] === '' ? Infinity : Number(counts[3]);
    if (min > max) this.#fail(`"${counts[0]}" has its counts the wrong way round`);
    if (min > MAX_COUNT || (max > MAX_COUNT && max !== Infinity)) {
      this.#fail(`"${counts[0]}" repeats more than ${MAX_COUNT} times`);
    }
    return { min, max };
  }

  #escape(): PatternNode {
    const char = this.#next();
    if (char === 'A') return { kind: 'start' };
    if (char === 'Z') return { kind: 'end' };
    if (char === 'b') return { kind: 'word' };
    if (char === 'B') return { kind: 'notWord' };
    const set = classes[char];
    if (set) return { kind: 'set', has: set };
    if (/[1-9]/.test(char)) this.#fail(`the back reference "\\${char}" is not supported`);
    return this.#literal(this.#escapedChar(char));
  }

  #escapedChar(char: string): string {
    if (!/[A-Za-z0-9]/.test(char)) return char;
    const control = controls[char];
    if (control !== undefined) return control;
    const digits = char === 'x' ? 2 : char === 'u' ? 4 : 0;
    const code = this.#source.slice(this.#at, this.#at + digits);
    if (digits === 0 || !new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(code))
      this.#fail(`"\\${char}" is no known escape`);
    this.#at += digits;
    return String.fromCharCode(Number.parseInt(code, 16));
  }

  #class(): PatternNode {
    const negated = this.#take('^');
    const members: ((char: string) => boolean)[] = [];
    // A leading "]" is literal.
    for (let first = true; first || !this.#sees(']'); first = false) {
      const from = this.#classMember();
      if (this.#sees('-') && this.#source[this.#at + 1] !== ']') {
        this.#at++;
        const to = this.#classMember();
        if (typeof from !== 'string' || typeof to !== 'string' || from > to)
          this.#fail('a range in "[...]" is not valid');
        members.push(this.#cased((c) => c >= from && c <= to));
      } else members.push(typeof from === 'string' ? this.#cased((c) => c === from) : from);
    }
    this.#at++;
    return { kind: 'set', has: (c) => members.some((has) => has(c)) !== negated };
  }

  #classMember(): string | ((char: string) => boolean) {
    const char = this.#next();
    if (char !== '\\') return char;
    const escaped = this.#next();
    if (escaped === 'b') return '\b';
    return classes[escaped] ?? this.#escapedChar(escaped);
  }

  #literal(char: string): PatternNode {
    return { kind: 'set', has: this.#cased((c) => c === char) };
  }

  #cased(has: (char: string) => boolean): (char: string) => boolean {
    return this.#ignoreCase ? (c) => has(c.toLowerCase()) || has(c.toUpperCase()) : has;
  }

  #next(): string {
    const char = this.#source[this.#at];
    if (char === undefined) this.#fail('it ends too early');
    this.#at++;
    return char;
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    const seen = this.#sees(text);
    if (seen) this.#at += text.length;
    return seen;
  }

  #fail: (what: string) => never = (what) => {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${this.#where} is not a usable pattern: ${what}, in ${quote(this.#source)} near character ${this.#at}. Correct it, or list module names instead.`,
    );
  };
}

const digit = (c: string): boolean => c >= '0' && c <= '9';
const space = (c: string): boolean => /\s/.test(c);

/** Whether `\w` matches this character. */
export const isWord = (c: string): boolean => /[\p{L}\p{N}_]/u.test(c);

const classes: Readonly<Record<string, ((char: string) => boolean) | undefined>> = {
  d: digit,
  D: (c) => !digit(c),
  s: space,
  S: (c) => !space(c),
  w: isWord,
  W: (c) => !isWord(c),
};

const controls: Readonly<Record<string, string | undefined>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  f: '\f',
  v: '\v',
  a: '\x07',
  '0': '\0',
};
