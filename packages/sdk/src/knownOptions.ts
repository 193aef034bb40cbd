/** @file Checks of option names. */

import { didYouMean, OnnxLoraError } from './errors.ts';

/** The names of a type's options, over all members of a union. A missing or unknown name does not compile. */
export type OptionNames<Options> = Readonly<Record<NameOf<Options>, true>>;

type NameOf<Options> = Options extends unknown ? keyof Options : never;

/** Option names by function, as users call it: an option may belong to another function. */
const everywhere = new Map<string, object>();

const MOST_TOLD = 3;

/** Makes the check of a function's options, see `requireKnownOptions`; `taker` is its public name, such as `train`. */
export function knownOptions<Options>(taker: string, names: OptionNames<Options>): (given: unknown) => void {
  everywhere.set(taker, names);
  return (given) => requireKnownOptions(taker, given, names);
}

/** Checks option names; undefined options are ignored. @throws OnnxLoraError `CONFIG_INVALID`, with the nearest name */
export function requireKnownOptions(taker: string, given: unknown, names: object): void {
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
    // An option of another function is seldom a typing mistake.
    const near = didYouMean(name, known, others.length > 0 ? Math.floor(name.length / 4) : undefined);
    const told = others.slice(0, MOST_TOLD).join(', ') + (others.length > MOST_TOLD ? ' and others' : '');
    const where = others.length > 0 ? ` It is an option of ${told}: give it there.` : '';
    const list = near || where ? '' : ` Its options are ${known.join(', ') || '(none)'}.`;
    throw new OnnxLoraError('CONFIG_INVALID', `${taker} has no option "${name}".${near}${where}${list}`);
  }
}
