/** @file The error class of the SDK, and suggestions for misspelt names. */

import type { ErrorCode } from './errorCodes.ts';

export type { ErrorCode } from './errorCodes.ts';

/** The error for everything that a caller can cause. Its message names the thing, the problem and a remedy. */
export class OnnxLoraError extends Error {
  override readonly name = 'OnnxLoraError';
  /** The kind of error, for programs. */
  readonly code: ErrorCode;

  /** `message` states the failure, its place, the expected and the found value, and one remedy. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(printable(message), options);
    this.code = code;
  }

  /** Accepts errors of another copy of the SDK, such as a plugin's own. */
  static override [Symbol.hasInstance](value: unknown): value is OnnxLoraError {
    return value instanceof Error && value.name === 'OnnxLoraError' && 'code' in value;
  }

  /** Path of the code's documentation: `reference/errors#target-not-found`. */
  get docs(): string {
    return `reference/errors#${this.code.toLowerCase().replaceAll('_', '-')}`;
  }
}

/** Limit of messages: names in them come from files and may have any length. */
const MAX_MESSAGE = 4000;
const LONG_WORD = /\S{301,}/g;

/** Escapes control characters and shortens long names; cuts the middle, since the remedy is at the end. */
function printable(message: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it replaces
  const text = message.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  if (text.length <= MAX_MESSAGE) return text;
  const short = text.replaceAll(LONG_WORD, (word) => `${word.slice(0, 200)}…${word.slice(-60)}`);
  if (short.length <= MAX_MESSAGE) return short;
  return `${short.slice(0, MAX_MESSAGE - 1000)} … ${short.slice(-990)}`;
}

/** Errors of the operating system that may befall any file, with their remedies. */
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

/** The error if the operating system refused access (descriptors, space, permissions), else undefined. */
export function systemFailure(error: unknown): OnnxLoraError | undefined {
  if (!(error instanceof Error) || error instanceof OnnxLoraError) return undefined;
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || !Object.hasOwn(refusals, code)) return undefined;
  const what = path === undefined ? 'A file' : `"${path}"`;
  return new OnnxLoraError('FILE_INVALID', `${what} could not be opened or written (${code}). ${refusals[code]!}.`, {
    cause: error,
  });
}

/** Longer names are no typing mistakes, and take long to compare. */
const MAX_MISTYPED = 200;

/**
 * The candidates nearest to `word` by edit distance, best first, for "did you mean" in an error.
 * @param count largest number of results
 * @param limit largest edit distance; half of the word's length by default
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

/** ` Did you mean "a" or "b"?` with candidates within `limit` edits, as in {@link nearest}, else an empty string. */
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
