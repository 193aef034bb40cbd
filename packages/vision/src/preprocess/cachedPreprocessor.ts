/** @file Keeps preprocessed tensors in memory, so that a run decodes each image once. */

import type { Preprocessor, Tensor } from '@onnx-lora/sdk';

/**
 * Remembers results by file until `maxBytes` are held; what comes later is made anew each time. Nothing is thrown out
 * again, because a run goes through all files over and over, and then the least recently used is needed next.
 */
export class CachedPreprocessor implements Preprocessor {
  readonly #inner: Preprocessor;
  readonly #maxBytes: number;
  readonly #tensors = new Map<string, Tensor>();
  /** Files being read, so that two requests at once share one reading. */
  readonly #pending = new Map<string, Promise<Tensor>>();
  #bytes = 0;

  constructor(inner: Preprocessor, maxBytes: number) {
    this.#inner = inner;
    this.#maxBytes = maxBytes;
  }

  /** The tensor of `file`; shared between callers, who must not write to it. */
  async preprocess(file: string): Promise<Tensor> {
    const known = this.#tensors.get(file) ?? this.#pending.get(file);
    if (known) return known;
    const reading = this.#inner.preprocess(file).finally(() => this.#pending.delete(file));
    this.#pending.set(file, reading);
    const tensor = await reading;
    if (this.#bytes + tensor.data.byteLength <= this.#maxBytes) {
      this.#bytes += tensor.data.byteLength;
      this.#tensors.set(file, tensor);
    }
    return tensor;
  }
}
