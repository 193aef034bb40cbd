/** @file Looks at the beginning of bytes that come in pieces, and gives them all the same. */

/** The beginning of bytes, and all of them. */
export interface Peeked {
  /** The bytes that were read so far: at least as many as were asked for, or all. */
  readonly head: Uint8Array;
  /** All bytes, the beginning included. To be read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** The first bytes of a source, `least` of them where there are so many. What is given must be read, or returned from. */
export async function peeked(source: AsyncIterable<Uint8Array>, least: number): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let size = 0;
  while (size < least) {
    const { value, done } = await iterator.next();
    if (done) break;
    held.push(value);
    size += value.length;
  }
  const head = held.length === 1 ? held[0]! : Buffer.concat(held);
  // No generator, because one that was never begun does not close its source.
  const bytes: AsyncIterator<Uint8Array> = {
    next: async () => {
      const first = held.shift();
      return first ? { value: first, done: false } : iterator.next();
    },
    return: async () => {
      held.length = 0;
      await iterator.return?.();
      return { value: undefined, done: true };
    },
  };
  return { head, bytes: { [Symbol.asyncIterator]: () => bytes } };
}
