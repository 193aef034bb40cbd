/** @file Turns errors of the checked part into problems. */

import { OnnxLoraError } from '@onnx-lora/sdk';

class PartFailure extends Error {
  override readonly name = 'PartFailure';
}

/** Calls the checked part, and names the call, such as `decode`, in its errors, for {@link findings}. */
export function call<Result>(what: string, run: () => Result): Result {
  const fail = (cause: unknown): never => {
    throw cause instanceof PartFailure ? cause : new PartFailure(failed(what, cause), { cause });
  };
  try {
    const result = run();
    return result instanceof Promise ? (result.catch(fail) as Result) : result;
  } catch (cause) {
    return fail(cause);
  }
}

/** A failed call as a problem. */
export function failed(what: string, cause: unknown): string {
  return `${what} fails: ${cause instanceof Error ? cause.message : String(cause)}`;
}

/** The problems of a check, or the failed {@link call} that ended it. */
export function findings(check: () => string[]): string[] {
  try {
    return check();
  } catch (error) {
    return failureOf(error);
  }
}

/** The same for an asynchronous check. */
export async function findingsLater(check: () => Promise<string[]>): Promise<string[]> {
  try {
    return await check();
  } catch (error) {
    return failureOf(error);
  }
}

/** A problem, unless the call fails with an `OnnxLoraError`, as for a user's mistake. */
export async function refusalProblems(what: string, run: () => unknown): Promise<string[]> {
  let end = 'no error';
  try {
    await run();
  } catch (error) {
    if (error instanceof OnnxLoraError) return [];
    end = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return [`${what} ends in ${end}, which should be an OnnxLoraError`];
}

/** The problem of a failed {@link call}; rethrows other errors. */
export function failureOf(error: unknown): string[] {
  if (error instanceof PartFailure) return [error.message];
  throw error;
}
