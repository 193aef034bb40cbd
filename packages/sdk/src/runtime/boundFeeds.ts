/** @file Feeds bound to a session once and read by many runs. */

/** Feeds that stay where the graph runs. Freed once released and unread. */
export class BoundFeeds implements Disposable {
  /** Names of the bound graph inputs. */
  readonly names: readonly string[];
  readonly #free: () => void;
  #holders = 1;
  #released = false;

  /** Holds the tensors until {@link BoundFeeds.release}. @param free called once nobody holds them */
  constructor(names: readonly string[], free: () => void) {
    this.names = names;
    this.#free = free;
  }

  /** Holds the tensors for one run; returns a function that lets go. */
  hold(): () => void {
    this.#holders++;
    return () => this.#letGo();
  }

  /** Releases the tensors; pending runs still read them. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#letGo();
  }

  /** {@link BoundFeeds.release} for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  #letGo(): void {
    this.#holders--;
    if (this.#holders === 0) this.#free();
  }
}
