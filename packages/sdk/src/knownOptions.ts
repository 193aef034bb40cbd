/** @file Names of options, held against what the functions know that take them. */

import { didYouMean, OnnxLoraError } from './errors.ts';

/** All names of the options of a type, of every member where it is a union: one that is left out, or is none, does not compile. */
export type Known<Options> = Readonly<Record<NameOf<Options>, true>>;

type NameOf<Options> = Options extends unknown ? keyof Options : never;

/** What each function knows, by what users call it: one may have what another was given. */
const everywhere = new Map<string, object>();

/** So many that know an option are told. */
const MOST_TOLD = 3;

/**
 * The check of a function that takes options, which passes over none in silence: {@link requireKnown} with these names.
 *
 * @param taker what users call what takes them, such as `train`
 */
export function knownOptions<Options>(taker: string, names: Known<Options>): (given: unknown) => void {
  everywhere.set(taker, names);
  return (given) => requireKnown(taker, given, names);
}

/**
 * @param given what is undefined in it is not given
 * @throws OnnxLoraError `CONFIG_INVALID` for options that are no object; for an option of another name, with the nearest name, and
 *   what has it
 */
export function requireKnown(taker: string, given: unknown, names: object): void {
  if (typeof given !== 'object' || given === null) {
    const example = `{ ${Object.keys(names).slice(0, MOST_TOLD).join(', ')} }`;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${taker} takes its options as an object, and got ${String(given)}. Pass some of ${example}.`,
    );
  }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const others = [...everywhere].flatMap(([each, known]) => (Object.hasOwn(known, name) ? [each] : []));
    const known = Object.keys(names);
    // What has its place elsewhere is seldom a slip of the pen.
    const near = didYouMean(name, known, others.length > 0 ? Math.floor(name.length / 4) : undefined);
    const told = others.slice(0, MOST_TOLD).join(', ') + (others.length > MOST_TOLD ? ' and others' : '');
    const where = others.length > 0 ? ` It is an option of ${told}: give it there.` : '';
    const list = near || where ? '' : ` Its options are ${known.join(', ') || '(none)'}.`;
    throw new OnnxLoraError('CONFIG_INVALID', `${taker} has no option "${name}".${near}${where}${list}`);
  }
}
