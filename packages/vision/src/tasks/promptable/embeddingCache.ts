/** @file Keeps what the encoder made of the images seen last. */

import type { Feeds } from '@onnx-lora/sdk';

/** Holds tensors by key up to so many bytes; what was not used for longest goes first. */
export class EmbeddingCache {
  readonly #maxBytes: number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, { readonly tensors: Feeds; readonly bytes: number }>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The tensors of a key; undefined where they are not held (any more). */
  get(key: string): Feeds | undefined {
    const found = this.#entries.get(key);
    if (!found) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, found);
    return found.tensors;
  }

  /** Holds tensors, unless they alone are too large. */
  set(key: string, tensors: Feeds): void {
    this.#remove(key);
    const bytes = Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
    if (bytes > this.#maxBytes) return;
    this.#entries.set(key, { tensors, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(oldest);
    }
  }

  /** Lets go of all. */
  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
