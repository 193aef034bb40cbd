/** @file The error that users of the generator meet. It has no dependency, so that it starts quickly. */

/** A mistake of the user's. The message names the thing, what is wrong with it, and a remedy. */
export class CreateError extends Error {
  override readonly name = 'CreateError';
}
