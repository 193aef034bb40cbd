/** @file Names the part of a plugin whose function fails. */

import { OnnxLoraError } from '../../errors.ts';

/** A function of a part, as messages name it. */
export interface Guarded {
  /** What the part is, such as `task "cells"`. */
  readonly part: string;
  /** The function, such as `collate`. */
  readonly where: string;
  /** Sentences that help the author, such as what names the function was given. */
  readonly facts?: () => string;
}

/**
 * Calls a function of a plugin. An {@link OnnxLoraError} that it throws, at once or later, is left as it is.
 *
 * @throws OnnxLoraError `PLUGIN_INVALID` in place of any other error, with that as its cause
 */
export function guard<Result>(about: Guarded, run: () => Result): Result {
  try {
    const result = run();
    if (!(result instanceof Promise)) return result;
    return result.catch((cause: unknown) => {
      throw failureOf(about, cause);
    }) as Result;
  } catch (cause) {
    throw failureOf(about, cause);
  }
}

/** The same for what comes one by one. */
export async function* guardEach<Item>(about: Guarded, run: () => AsyncIterable<Item>): AsyncIterable<Item> {
  try {
    yield* run();
  } catch (cause) {
    throw failureOf(about, cause);
  }
}

/** What the author of a part is told. */
export function badPart({ part, where, facts }: Guarded, what: string, cause?: unknown): OnnxLoraError {
  const said = what.replace(/[.\s]+$/, '');
  const more = facts === undefined ? '' : ` ${facts()}`;
  return new OnnxLoraError(
    'PLUGIN_INVALID',
    `The ${part} fails in ${where}: ${said}.${more} Its author can mend it; the error's cause says where (--debug shows it).`,
    cause === undefined ? {} : { cause },
  );
}

function failureOf(about: Guarded, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return badPart(about, cause instanceof Error ? cause.message || cause.name : String(cause), cause);
}
