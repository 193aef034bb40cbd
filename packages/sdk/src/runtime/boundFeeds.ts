/** @file Tensors that were handed over to a session once and are read by many runs. */

/** Feeds that stay where the graph runs. Freed when they are released and no run reads them any more. */
export class BoundFeeds implements Disposable {
  /** Names of the graph inputs that they are for. */
  readonly names: readonly string[];
  readonly #free: () => void;
  #holders = 1;
  #released = false;

  /**
   * Held once, until {@link BoundFeeds.release}.
   *
   * @param free called once, when nobody holds the tensors any more
   */
  constructor(names: readonly string[], free: () => void) {
    this.names = names;
    this.#free = free;
  }

  /** Holds them for one run; the function that it returns lets go. */
  hold(): () => void {
    this.#holders++;
    return () => this.#letGo();
  }

  /** Gives them up: runs that have been asked for still read them. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#letGo();
  }

  /** As {@link BoundFeeds.release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  #letGo(): void {
    this.#holders--;
    if (this.#holders === 0) this.#free();
  }
}
