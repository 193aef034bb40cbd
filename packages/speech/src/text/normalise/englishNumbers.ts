/** @file Converts English number words to digits. */

import { wordsOf } from '@onnx-lora/sdk/tasks';
import { edge, space } from './basicNormaliser.ts';

/** The effect of a word on the current number. */
type NumberWord =
  | { readonly kind: 'zero' }
  /** 1 to 19, 20 to 90, 100 and more; an ending completes the number: `seconds`, `twentieth`, `millions`. */
  | { readonly kind: 'ones' | 'tens' | 'multiplier'; readonly value: bigint; readonly ending?: string }
  /** `minus five` → `-5` */
  | { readonly kind: 'sign'; readonly sign: string }
  /** `five dollars` → `$5` */
  | { readonly kind: 'unit'; readonly sign: string }
  | { readonly kind: 'per' | 'percent' | 'and' | 'double' | 'triple' | 'point' };

const ones = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen']; // prettier-ignore
const tens = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];
const thousands = ['thousand', 'million', 'billion', 'trillion', 'quadrillion', 'quintillion', 'sextillion', 'septillion', 'octillion', 'nonillion', 'decillion']; // prettier-ignore

const ordinals: Readonly<Record<string, string>> = {
  one: 'first',
  two: 'second',
  three: 'third',
  five: 'fifth',
  eight: 'eighth',
  twelve: 'twelfth',
};

const numberWords: ReadonlyMap<string, NumberWord> = new Map(entries());

function* entries(): Generator<[string, NumberWord]> {
  for (const word of ['o', 'oh', 'zero']) yield [word, { kind: 'zero' }];
  yield ['zeroth', { kind: 'ones', value: 0n, ending: 'th' }];
  for (const [i, word] of ones.entries()) {
    const ordinal = ordinals[word] ?? `${word}th`;
    const ending = i < 3 ? ordinal.slice(-2) : 'th';
    yield* forms('ones', BigInt(i + 1), word, word === 'six' ? 'sixes' : `${word}s`, [ordinal, ending]);
  }
  for (const [i, word] of tens.entries()) {
    yield* forms('tens', BigInt(10 * (i + 2)), word, word.replace('y', 'ies'), [word.replace('y', 'ieth'), 'th']);
  }
  for (const [i, word] of ['hundred', ...thousands].entries()) {
    yield* forms('multiplier', i === 0 ? 100n : 1000n ** BigInt(i), word, `${word}s`, [`${word}th`, 'th']);
  }
  for (const [sign, words] of [
    ['-', 'minus negative'],
    ['+', 'plus positive'],
  ] as const) {
    for (const word of words.split(' ')) yield [word, { kind: 'sign', sign }];
  }
  for (const [sign, word] of [
    ['£', 'pound'],
    ['€', 'euro'],
    ['$', 'dollar'],
    ['¢', 'cent'],
  ] as const) {
    yield [word, { kind: 'unit', sign }];
    yield [`${word}s`, { kind: 'unit', sign }];
  }
  for (const word of ['per', 'percent', 'and', 'double', 'triple', 'point'] as const) yield [word, { kind: word }];
}

/** A cardinal, its plural, and its ordinal with the ending used after digits. */
function* forms(
  kind: 'ones' | 'tens' | 'multiplier',
  value: bigint,
  cardinal: string,
  plural: string,
  [ordinal, ending]: readonly [string, string],
): Generator<[string, NumberWord]> {
  yield [cardinal, { kind, value }];
  yield [plural, { kind, value, ending: 's' }];
  yield [ordinal, { kind, value, ending }];
}

/**
 * Whisper's `EnglishNumberNormalizer` on lower case: `two and a half million dollars` becomes `$2500000`, `1` `one`.
 */
export function englishNumbers(text: string): string {
  return joinedCents(new NumberReader(wordsOf(spacedNumbers(text))).read().join(' '));
}

const halves = new RegExp(`${edge}and[${space}]+a[${space}]+half${edge}`, 'gu');
const suffixes = new RegExp(`([0-9])[${space}]+(st|nd|rd|th|s)${edge}`, 'gu');

/** `two and a half` becomes `two point five`; spaces separate numbers and letters, except ordinal endings. */
function spacedNumbers(text: string): string {
  const segments = text.split(halves);
  const parts = segments.flatMap((segment, i) => {
    const last = wordsOf(segment).at(-1);
    if (last === undefined) return [];
    if (i === segments.length - 1) return [segment];
    return [segment, isDecimal(last) || isMultiplier(last) ? 'point five' : 'and a half'];
  });
  return parts
    .join(' ')
    .replace(/([a-z])([0-9])/gu, '$1 $2')
    .replace(/([0-9])([a-z])/gu, '$1 $2')
    .replace(suffixes, '$1$2');
}

const centsAfter = new RegExp(`([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})${edge}`, 'gu');
const centsAlone = new RegExp(`[€£$]0.([0-9]{1,2})${edge}`, 'gu');
const aloneOne = new RegExp(`${edge}1(s?)${edge}`, 'gu');

/** `$2 and ¢7` becomes `$2.07`, `$0.50` `¢50`, and `1` `one`. */
function joinedCents(text: string): string {
  return text
    .replace(
      centsAfter,
      (_, unit: string, whole: string, cents: string) => `${unit}${whole}.${String(Number(cents)).padStart(2, '0')}`,
    )
    .replace(centsAlone, (_, cents: string) => `¢${Number(cents)}`)
    .replace(aloneOne, 'one$1');
}

const signs: ReadonlySet<string | undefined> = new Set(['-', '+', '£', '€', '$', '¢']);

function isNumeric(word: string | undefined): word is string {
  return word !== undefined && /^\p{Nd}+(?:\.\p{Nd}+)?$/u.test(word);
}

function cardinal(word: string | undefined, kind: 'ones' | 'tens' | 'multiplier'): bigint | undefined {
  const found = word === undefined ? undefined : numberWords.get(word);
  return found?.kind === kind && !('ending' in found) ? found.value : undefined;
}

function isZero(word: string | undefined): boolean {
  return word !== undefined && numberWords.get(word)?.kind === 'zero';
}

function isDecimal(word: string | undefined): boolean {
  return isZero(word) || cardinal(word, 'ones') !== undefined || cardinal(word, 'tens') !== undefined;
}

function isMultiplier(word: string | undefined): boolean {
  return cardinal(word, 'multiplier') !== undefined;
}

/**
 * Reads words; the number grows by addition (`twenty` `one`) or appending (`one` `oh` `one`, `three` `point` `five`).
 */
class NumberReader {
  readonly #words: readonly string[];
  readonly #written: string[] = [];
  #value: bigint | string | undefined;
  #sign: string | undefined;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  read(): string[] {
    for (let i = 0; i < this.#words.length; i++) i += this.#take(i);
    this.#writeValue();
    return this.#written;
  }

  /** Processes word `i`; returns how many of the next words it consumed. */
  #take(i: number): number {
    const current = this.#words[i]!;
    const isSigned = signs.has(current[0]);
    const digits = isSigned ? current.slice(1) : current;
    if (isNumeric(digits)) {
      this.#takeDigits(current, digits, isSigned ? current[0] : undefined);
      return 0;
    }
    const word = numberWords.get(current);
    if (word === undefined) {
      this.#writeAlone(current);
      return 0;
    }
    switch (word.kind) {
      case 'zero':
        this.#append('0');
        return 0;
      case 'ones':
      case 'tens':
        this.#value = this.#plus(word.value, word.kind, this.#words[i - 1]);
        this.#endWith(word.ending);
        return 0;
      case 'multiplier':
        this.#multiply(word.value);
        this.#endWith(word.ending);
        return 0;
      default:
        return this.#takeSpecial(word, current, this.#words[i - 1], this.#words[i + 1]);
    }
  }

  #takeSpecial(word: NumberWord, current: string, previous: string | undefined, next: string | undefined): number {
    const isNumberNext = isNumeric(next) || (next !== undefined && numberWords.has(next));
    switch (word.kind) {
      case 'sign':
        this.#writeValue();
        if (isNumberNext) this.#sign = word.sign;
        else this.#write(current);
        return 0;
      case 'unit':
        if (this.#value === undefined) this.#write(current);
        else {
          this.#sign = word.sign;
          this.#writeValue();
        }
        return 0;
      case 'percent':
        if (this.#value === undefined) this.#write(current);
        else this.#endWith('%');
        return 0;
      case 'per':
        if (this.#value !== undefined && next === 'cent') {
          this.#endWith('%');
          return 1;
        }
        this.#writeAlone(current);
        return 0;
      default:
    }
    if (!isNumberNext) {
      this.#writeAlone(current);
      return 0;
    }
    switch (word.kind) {
      case 'and':
        // `one hundred and one`
        if (!isMultiplier(previous)) this.#writeAlone(current);
        return 0;
      case 'double':
      case 'triple': {
        const digit = isZero(next) ? 0n : cardinal(next, 'ones');
        if (digit === undefined) {
          this.#writeAlone(current);
          return 0;
        }
        this.#append(String(digit).repeat(word.kind === 'double' ? 2 : 3));
        return 1;
      }
      default:
        if (isDecimal(next) || isNumeric(next)) this.#append('.');
        return 0;
    }
  }

  #takeDigits(current: string, digits: string, sign: string | undefined): void {
    if (typeof this.#value === 'string' && this.#value.endsWith('.')) {
      this.#value += current;
      return;
    }
    this.#writeValue();
    this.#sign = sign ?? this.#sign;
    const fraction = fractionOf(digits)!;
    const isWhole = fraction.numerator % fraction.denominator === 0n;
    this.#value = isWhole ? fraction.numerator / fraction.denominator : digits;
  }

  /** Adds ones or tens to the number where they fit, else appends them. */
  #plus(value: bigint, kind: 'ones' | 'tens', previous: string | undefined): bigint | string {
    const before = this.#value;
    if (before === undefined) return value;
    if (typeof before === 'string' || (kind === 'ones' && cardinal(previous, 'ones') !== undefined)) {
      const hasRoom = kind === 'ones' && value < 10n && cardinal(previous, 'tens') !== undefined;
      return (hasRoom ? String(before).slice(0, -1) : String(before)) + String(value);
    }
    const room = kind === 'ones' && value < 10n ? 10n : 100n;
    return before % room === 0n ? before + value : `${before}${value}`;
  }

  #multiply(factor: bigint): void {
    const before = this.#value;
    if (before === undefined) this.#value = factor;
    else if (typeof before === 'bigint') this.#value = (before / 1000n) * 1000n + (before % 1000n) * factor;
    else {
      const fraction = fractionOf(before);
      if (fraction && (fraction.numerator * factor) % fraction.denominator === 0n) {
        this.#value = (fraction.numerator * factor) / fraction.denominator;
      } else {
        this.#writeValue();
        this.#value = factor;
      }
    }
  }

  #append(digits: string): void {
    // A leading zero is dropped.
    this.#value = `${this.#value === 0n ? '' : (this.#value ?? '')}${digits}`;
  }

  #endWith(ending: string | undefined): void {
    if (ending !== undefined) this.#write(`${this.#value}${ending}`);
  }

  /** Ends the number and writes a plain word. */
  #writeAlone(word: string): void {
    this.#writeValue();
    this.#write(word);
  }

  #writeValue(): void {
    if (this.#value !== undefined) this.#write(String(this.#value));
  }

  #write(text: string): void {
    this.#written.push((this.#sign ?? '') + text);
    this.#value = undefined;
    this.#sign = undefined;
  }
}

/** Parses digits with at most one point; undefined for others, such as `1.2.3`. */
function fractionOf(digits: string): { numerator: bigint; denominator: bigint } | undefined {
  const match = /^(?=\.?\p{Nd})(\p{Nd}*)(?:\.(\p{Nd}*))?$/u.exec(digits);
  if (!match) return undefined;
  const decimals = match[2] ?? '';
  const numerator = BigInt((match[1]! + decimals).replace(/\p{Nd}/gu, digitOf) || '0');
  return { numerator, denominator: 10n ** BigInt([...decimals].length) };
}

/** Unicode digits come in tens. */
function digitOf(character: string): string {
  const code = character.codePointAt(0)!;
  let below = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(code - below - 1))) below++;
  return String(below % 10);
}
