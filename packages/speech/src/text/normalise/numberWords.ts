/** @file The words that English numbers are said with. */

/** What a word does to the number that is being read. */
export type NumberWord =
  | { readonly kind: 'zero' }
  /** 1 to 19, 20 to 90, 100 and more; with an ending the number is complete: `seconds`, `twentieth`, `millions`. */
  | { readonly kind: 'ones' | 'tens' | 'multiplier'; readonly value: bigint; readonly ending?: string }
  /** `minus five` → `-5` */
  | { readonly kind: 'sign'; readonly sign: string }
  /** `five dollars` → `$5` */
  | { readonly kind: 'unit'; readonly sign: string }
  | { readonly kind: 'per' | 'percent' | 'and' | 'double' | 'triple' | 'point' };

const ones = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen']; // prettier-ignore
const tens = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];
const thousands = ['thousand', 'million', 'billion', 'trillion', 'quadrillion', 'quintillion', 'sextillion', 'septillion', 'octillion', 'nonillion', 'decillion']; // prettier-ignore

/** Ordinals that are not the cardinal with `th`. */
const ordinals: Readonly<Record<string, string>> = {
  one: 'first',
  two: 'second',
  three: 'third',
  five: 'fifth',
  eight: 'eighth',
  twelve: 'twelfth',
};

/** Every word that belongs to a number, by how it is written. */
export const numberWords: ReadonlyMap<string, NumberWord> = new Map(entries());

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

/** A cardinal, its plural, and its ordinal with the ending that the ordinal has behind digits. */
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
