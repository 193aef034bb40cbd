/** @file A setting of the command line that is one of several words. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Task } from '../preparedTask.ts';

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

/**
 * The task of a factory whose predictor answers and that has nothing to learn: when it is prepared it says what to take instead.
 *
 * @param instead what the user may want, and which task does it: `To measure …, take the task ….`
 * @throws OnnxLoraError when it is prepared: `CONFIG_INVALID`
 */
export function answersOnly(name: string, instead: string): Task {
  const refused = new OnnxLoraError('CONFIG_INVALID', `The task ${name} only answers (predict). ${instead}`);
  return { name, prepare: () => Promise.reject(refused) };
}
