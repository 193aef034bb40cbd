/** @file A recording as it comes, of which no more than a window is held. */

/** Samples of a stream by their place in it. Places must not go back. */
export class SlidingSound {
  readonly #pieces: AsyncIterator<Float32Array>;
  #held: Float32Array[] = [];
  /** Where what is held begins and ends. */
  #start = 0;
  #end = 0;
  #hasEnded = false;

  constructor(pieces: AsyncIterable<Float32Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Samples that are held. */
  get held(): number {
    return this.#end - this.#start;
  }

  /**
   * The samples from `start` on, at most `length`, fewer at the end of the recording. What is before them is forgotten.
   *
   * @throws OnnxLoraError as the stream does
   */
  async window(start: number, length: number): Promise<{ readonly samples: Float32Array; readonly isLast: boolean }> {
    this.#forget(start);
    // One sample more tells whether the recording goes on.
    while (!this.#hasEnded && this.#end <= start + length) {
      const { done, value } = await this.#pieces.next();
      if (done === true) this.#hasEnded = true;
      else {
        this.#held.push(value);
        this.#end += value.length;
        this.#forget(start);
      }
    }
    const samples = new Float32Array(Math.max(0, Math.min(length, this.#end - start)));
    let at = this.#start - start;
    for (const piece of this.#held) {
      if (at >= samples.length) break;
      const own = piece.subarray(Math.max(0, -at), Math.max(0, samples.length - at));
      samples.set(own, Math.max(0, at));
      at += piece.length;
    }
    return { samples, isLast: this.#hasEnded && this.#end <= start + length };
  }

  /** Ends the stream, also where it goes on. */
  async close(): Promise<void> {
    this.#held = [];
    await this.#pieces.return?.();
  }

  #forget(start: number): void {
    while (this.#held.length > 0 && this.#start + this.#held[0]!.length <= start) {
      this.#start += this.#held.shift()!.length;
    }
  }
}
