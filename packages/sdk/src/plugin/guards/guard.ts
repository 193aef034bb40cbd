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

/** Says of a function of a part what messages name it by. */
export type At = (where: string, facts?: () => string) => Guarded;

/**
 * What becomes of each member of an object: it stays `as-is`; it is a function that is called under {@link guard}, or one whose
 * answers come one by one (`each`); or another takes its place, made of it, where functions may be called without their object.
 */
export type Members<T> = {
  readonly [Name in keyof T]-?: 'as-is' | 'call' | 'each' | ((own: NonNullable<T[Name]>) => T[Name]);
};

type Call = (...args: readonly unknown[]) => unknown;

/** The members of an object that are there, with functions whose failures say which part it is, and where it fails. */
export function guarded<T extends object>(at: At, object: T, members: Members<T>): T {
  const entries = (Reflect.ownKeys(members) as (keyof T & string)[]).flatMap((name) => {
    const value: unknown = object[name];
    if (value === undefined) return [];
    // A function may have members of its own, such as the halves of a loss.
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
