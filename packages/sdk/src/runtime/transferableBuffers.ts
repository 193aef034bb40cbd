/** @file Memory that moves to where graphs run, and is used again when it comes back. */

/** Bytes that are kept for later. */
const MAX_FREE_BYTES = 16 * 2 ** 20;
/** A buffer this many times as large as is needed would be wasted on it. */
const MAX_SLACK = 2;

/**
 * Buffers to fill and bind. New ones for each run would have V8 collect garbage every few runs, since it counts their bytes:
 * that took a third of the time of a small model whose batches mix other adapters each time.
 */
export class TransferableBuffers {
  #free: ArrayBuffer[] = [];

  /** A buffer of at least so many bytes, with whatever is in it. */
  take(bytes: number): ArrayBuffer {
    const fits = ({ byteLength }: ArrayBuffer): boolean => byteLength >= bytes && byteLength <= MAX_SLACK * bytes;
    const found = this.#free.findLastIndex(fits);
    return found < 0 ? new ArrayBuffer(bytes) : this.#free.splice(found, 1)[0]!;
  }

  /** Takes a buffer back; those that have waited longest are given up for it. */
  give(buffer: ArrayBuffer): void {
    this.#free.push(buffer);
    let bytes = this.#free.reduce((sum, { byteLength }) => sum + byteLength, 0);
    while (bytes > MAX_FREE_BYTES) bytes -= this.#free.shift()!.byteLength;
  }
}
