/** @file The one error class that users of the SDK meet. */

import type { ErrorCode } from './errorCodes.ts';

export type { ErrorCode } from './errorCodes.ts';

/**
 * An error whose message names the file or thing, says what was expected and found, and ends with a remedy.
 * Everything a caller can cause is thrown as this class; anything else that escapes is a bug.
 */
export class OnnxLoraError extends Error {
  override readonly name = 'OnnxLoraError';
  /** What kind of mistake it is: for programs, where the message is for people. */
  readonly code: ErrorCode;

  /** `message` says what failed, where, what was expected and found, and one remedy; `cause` is what it came from. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(printable(message), options);
    this.code = code;
  }

  /** Errors of another copy of the SDK, which a plugin may have been installed with, are such errors too. */
  static override [Symbol.hasInstance](value: unknown): value is OnnxLoraError {
    return value instanceof Error && value.name === 'OnnxLoraError' && 'code' in value;
  }

  /** Where the documentation explains the code, from its root: `reference/errors#target-not-found`. */
  get docs(): string {
    return `reference/errors#${this.code.toLowerCase().replaceAll('_', '-')}`;
  }
}

/** Longer than any message is meant to be. Names in it come from files, and those may be of any length. */
const MAX_MESSAGE = 4000;
const LONG_WORD = /\S{301,}/g;

/**
 * A message that terminals and logs can take: long names keep their beginning and end, of a message that is long all the same
 * its own beginning and its end, the remedy, are left; what would move a terminal's cursor or colour it is written out.
 */
function printable(message: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what is meant
  const text = message.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  if (text.length <= MAX_MESSAGE) return text;
  const short = text.replaceAll(LONG_WORD, (word) => `${word.slice(0, 200)}…${word.slice(-60)}`);
  if (short.length <= MAX_MESSAGE) return short;
  return `${short.slice(0, MAX_MESSAGE - 1000)} … ${short.slice(-990)}`;
}

/** What the system refuses whatever the file is, and what helps. */
const refusals: Readonly<Record<string, string>> = {
  EMFILE: 'This process has as many files open as it may. Raise the limit (ulimit -n 4096) and run it again',
  ENFILE: 'The system has as many files open as it may. Close other programs, or raise its limit',
  ENOSPC: 'No space is left on the device. Free some, or name another place',
  EDQUOT: 'The quota of the device is used up. Free some space, or name another place',
  EACCES: 'It may not be read or written by this user. Check its rights and those of its folder',
  EPERM: 'The system does not permit it. Check the rights of the file and its folder',
  EROFS: 'The file system is read-only. Name another place',
  EISDIR: 'It is a folder, and a file is needed there. Name a file, or remove the folder',
  ENOTDIR: 'A part of its path is a file, and no folder. Name another place',
  EIO: 'The device fails. Check it, or copy the file elsewhere',
  ELOOP: 'Its links lead in a circle. Name the file itself',
  ENAMETOOLONG: 'Its name is longer than the system allows. Shorten it',
};

/**
 * What the system has refused (no free descriptor, no space, no right), as an error with its remedy.
 *
 * @param error anything that was thrown
 * @returns undefined for what is no such refusal
 */
export function systemFailure(error: unknown): OnnxLoraError | undefined {
  if (!(error instanceof Error) || error instanceof OnnxLoraError) return undefined;
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || !Object.hasOwn(refusals, code)) return undefined;
  const what = path === undefined ? 'A file' : `"${path}"`;
  return new OnnxLoraError('FILE_INVALID', `${what} could not be opened or written (${code}). ${refusals[code]!}.`, {
    cause: error,
  });
}

/** Nobody mistypes a longer name, and comparing long names takes long. */
const MAX_MISTYPED = 200;

/**
 * Of `candidates`, those nearest to `word` by edit distance, best first, for "did you mean" in an error.
 *
 * @param count how many at most
 * @param limit how many edits apart at most; half of the word by default
 */
export function nearest(
  word: string,
  candidates: Iterable<string>,
  count = 3,
  limit: number = Math.max(2, Math.ceil(word.length / 2)),
): string[] {
  if (word.length > MAX_MISTYPED) return [];
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate, limit) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance || a.candidate.localeCompare(b.candidate))
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** `did you mean "a" or "b"?`, or an empty string where nothing is near: no more than `limit` edits apart, as {@link nearest} has it. */
export function didYouMean(word: string, candidates: Iterable<string>, limit?: number): string {
  const near = nearest(word, candidates, 3, limit);
  return near.length > 0 ? ` Did you mean ${near.map((name) => `"${name}"`).join(' or ')}?` : '';
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitute));
    }
    if (Math.min(...next) > limit) return limit + 1;
    row = next;
  }
  return row[b.length]!;
}
