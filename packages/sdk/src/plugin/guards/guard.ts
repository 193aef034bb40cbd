/** @file Errors of plugin functions, reported with the plugin's part and function. */

import { OnnxLoraError } from '../../errors.ts';

/** A guarded function, as messages name it. */
export interface Guarded {
  /** The part, such as `task "cells"`. */
  readonly part: string;
  /** The function, such as `collate`. */
  readonly where: string;
  /** Sentences that help the author, such as the names that the function received. */
  readonly facts?: () => string;
}

/**
 * Calls a function of a plugin. An {@link OnnxLoraError}, thrown or rejected, passes unchanged.
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

/** Names a function of a part for messages. */
export type At = (where: string, facts?: () => string) => Guarded;

/** Treatment by {@link guarded}: `as-is`, guarded function (`call`) or async iterable (`each`), or a replacement. */
export type Members<T> = {
  readonly [Name in keyof T]-?: 'as-is' | 'call' | 'each' | ((own: NonNullable<T[Name]>) => T[Name]);
};

type Call = (...args: readonly unknown[]) => unknown;

/** Copies the defined members of an object, with functions that name the part and themselves when they fail. */
export function guarded<T extends object>(at: At, object: T, members: Members<T>): T {
  const entries = (Reflect.ownKeys(members) as (keyof T & string)[]).flatMap((name) => {
    const value: unknown = object[name];
    if (value === undefined) return [];
    // A function may have properties, such as the halves of a loss.
    const own = typeof value === 'function' ? Object.assign(value.bind(object) as Call, value) : value;
    const kind = members[name] as 'as-is' | 'call' | 'each' | Call;
    if (typeof kind === 'function') return [[name, kind(own)] as const];
    if (kind === 'as-is') return [[name, value] as const];
    const call = own as Call;
    const guardCall: Call = (...args) => guard(at(name), () => call(...args));
    const guardEach: Call = (...args) => eachGuarded(at(name), () => call(...args) as AsyncIterable<unknown>);
    return [[name, kind === 'call' ? guardCall : guardEach] as const];
  });
  return Object.fromEntries(entries) as T;
}

async function* eachGuarded<Item>(about: Guarded, run: () => AsyncIterable<Item>): AsyncIterable<Item> {
  try {
    yield* run();
  } catch (cause) {
    throw failureOf(about, cause);
  }
}

/** The error for the author of a part. */
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
