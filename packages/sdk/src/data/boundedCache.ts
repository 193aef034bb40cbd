/** @file Keeps what was made of examples in memory, so that a run makes it once. */

/**
 * Remembers values by key until `maxBytes` are held; what comes later is made anew each time. Nothing is thrown out again,
 * because a run goes through all examples over and over, and then the least recently used is needed next.
 */
export class BoundedCache<Key, Value> {
  readonly #maxBytes: number;
  readonly #bytesOf: (value: Value) => number;
  readonly #kept = new Map<Key, Value>();
  /** Values being made, so that two requests at once share the work. */
  readonly #pending = new Map<Key, Promise<Value>>();
  #bytes = 0;

  /** `maxBytes` is how much it keeps at most; once full, it keeps what it has. `bytesOf` says how large a value is. */
  constructor(maxBytes: number, bytesOf: (value: Value) => number) {
    this.#maxBytes = maxBytes;
    this.#bytesOf = bytesOf;
  }

  /** The value of a key, which `make` makes where there is none; shared between callers, who must not write to it. */
  async get(key: Key, make: () => Promise<Value>): Promise<Value> {
    const known = this.#kept.get(key) ?? this.#pending.get(key);
    if (known !== undefined) return known;
    const making = make().finally(() => this.#pending.delete(key));
    this.#pending.set(key, making);
    const value = await making;
    const bytes = this.#bytesOf(value);
    if (this.#bytes + bytes <= this.#maxBytes) {
      this.#bytes += bytes;
      this.#kept.set(key, value);
    }
    return value;
  }
}
