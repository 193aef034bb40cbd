/** @file A setting of the command line that is one of several words. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';

/**
 * One of several words; undefined where none is given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for another
 */
export function choice<const Word extends string>(
  name: string,
  given: unknown,
  words: readonly Word[],
): Word | undefined {
  if (given === undefined) return undefined;
  const found = words.find((word) => word === given);
  if (found !== undefined) return found;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting ${name} is ${JSON.stringify(given)}.${typeof given === 'string' ? didYouMean(given, [...words]) : ''} It can be ${words.join(', ').replace(/, ([^,]*)$/, ' or $1')}.`,
  );
}
