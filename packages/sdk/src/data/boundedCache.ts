/** @file A cache in memory for values computed from examples. */

/** Caches values up to `maxBytes`, without eviction: in repeated passes, the least recently used is needed next. */
export class BoundedCache<Key, Value> {
  readonly #maxBytes: number;
  readonly #bytesOf: (value: Value) => number;
  readonly #kept = new Map<Key, Value>();
  readonly #pending = new Map<Key, Promise<Value>>();
  #bytes = 0;

  /** `maxBytes` is the capacity; `bytesOf` measures a value. */
  constructor(maxBytes: number, bytesOf: (value: Value) => number) {
    this.#maxBytes = maxBytes;
    this.#bytesOf = bytesOf;
  }

  /** The value of a key, made by `make` on a miss. Callers share it and must not write to it. */
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
