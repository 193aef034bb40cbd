/** @file What a part under test throws, told as a problem like any other finding. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** A call of the part under test threw; the message is the problem. */
class PartFailure extends Error {
  override readonly name = 'PartFailure';
}

/**
 * Calls the part under test. What it throws, at once or later, is thrown on with the name of the call, for {@link findings}.
 *
 * @param what is called, such as `decode`
 */
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

/** That a call failed, as a problem. */
export function failed(what: string, cause: unknown): string {
  return `${what} fails: ${cause instanceof Error ? cause.message : String(cause)}`;
}

/** What a check finds. Where a {@link call} of the part fails, that is what it finds. */
export function findings(check: () => string[]): string[] {
  try {
    return check();
  } catch (error) {
    return failureOf(error);
  }
}

/** The same for a check that takes time. */
export async function findingsLater(check: () => Promise<string[]>): Promise<string[]> {
  try {
    return await check();
  } catch (error) {
    return failureOf(error);
  }
}

/** What is wrong with how a call ends that is a user's mistake. */
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

/** The problem that a failed {@link call} is; any other error is thrown on. */
export function failureOf(error: unknown): string[] {
  if (error instanceof PartFailure) return [error.message];
  throw error;
}
