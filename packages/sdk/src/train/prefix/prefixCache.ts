/** @file Computes the frozen prefix for new examples, and returns stored values for known ones. */

import type { Session } from '../../runtime/session.ts';
import { arrayOf, bytesPerElement, type Feeds, sizeOf, type Tensor, type TensorData } from '../../runtime/tensor.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import type { RowStore } from './rowStore.ts';
import type { KeptValue } from './split.ts';

/** Request of {@link PrefixCache}. */
export interface PrefixCacheRequest {
  /** Loads the prefix, for batches of `rows` rows. */
  readonly open: () => Promise<Session>;
  /** The prefix's outputs for `rows` rows. */
  readonly kept: readonly KeptValue[];
  readonly rows: number;
  readonly store: RowStore;
  /** Identifies the shapes of batches: rows differ between them. */
  readonly shapes: string;
  /** Number of examples. */
  readonly examples: number;
}

/** The values of a frozen prefix by example. */
export class PrefixCache {
  readonly #request: PrefixCacheRequest;
  readonly #rowBytes: number;
  /** Examples whose rows are in the store. */
  readonly #stored = new Set<number>();
  /** Buffers of a batch's values by name, tens of megabytes, reused by the next batch. */
  readonly #batches = new Map<string, Uint8Array>();
  #session: Promise<Session> | undefined;

  constructor(request: PrefixCacheRequest) {
    this.#request = request;
    this.#rowBytes = request.kept.reduce((sum, value) => sum + partBytes(value, request.rows), 0);
  }

  /** The kept values of a batch, with an example number per row. Valid until the next call. */
  async values(inputs: Feeds, examples: readonly number[]): Promise<Feeds> {
    const { store, rows } = this.#request;
    const found = await Promise.all(examples.map((example) => store.read(this.#key(example))));
    const missing = found.flatMap((row, i) => (row ? [] : [i]));
    found.forEach((row, i) => row && this.#stored.add(examples[i]!));
    for (let from = 0; from < missing.length; from += rows) {
      const places = missing.slice(from, from + rows);
      const computed = await this.#compute(inputs, places, examples.length);
      for (const [i, place] of places.entries()) {
        found[place] = computed[i]!;
        const example = examples[place]!;
        if (await store.write(this.#key(example), computed[i]!)) this.#stored.add(example);
      }
    }
    // With all rows stored the session is not needed; a damaged row opens another.
    if (this.#stored.size === this.#request.examples) await this.release();
    return runInSlices(this.#joined(found as readonly Uint8Array[]));
  }

  /** Joins the kept values of rows. Copies megabytes, and so yields in between. */
  *#joined(found: readonly Uint8Array[]): Generator<void, Feeds> {
    const { kept, rows } = this.#request;
    const feeds: Record<string, Tensor> = {};
    let offset = 0;
    for (const value of kept) {
      const part = partBytes(value, rows);
      const bytes = this.#batch(value.name, part * found.length);
      for (const [i, row] of found.entries()) {
        bytes.set(row.subarray(offset, offset + part), i * part);
        yield;
      }
      offset += part;
      feeds[value.name] = tensorOf(value, bytes, found.length / rows);
    }
    return feeds;
  }

  #batch(name: string, length: number): Uint8Array {
    const known = this.#batches.get(name);
    if (known?.length === length) return known;
    const fresh = new Uint8Array(length);
    this.#batches.set(name, fresh);
    return fresh;
  }

  /** Loads the prefix in advance. @throws OnnxLoraError `RUNTIME_FAILED` */
  async open(): Promise<Session> {
    return (this.#session ??= this.#request.open());
  }

  /** Releases the session; stored values remain. */
  async release(): Promise<void> {
    const session = await this.#session;
    this.#session = undefined;
    await session?.release();
  }

  #key(example: number): string {
    return `${this.#request.shapes} ${example}`;
  }

  /**
   * The rows at these positions of the batch. The prefix always runs with the same number of rows, repeating the last:
   * products could otherwise sum in another order, and a resumed run with an empty store would differ in bits.
   */
  async #compute(inputs: Feeds, places: readonly number[], total: number): Promise<Uint8Array[]> {
    const { kept, rows } = this.#request;
    const session = await this.open();
    const feeds = Object.fromEntries(
      session.inputNames.map((name) => [name, pick(inputs[name]!, places, rows, total)] as const),
    );
    const outputs = await session.run(feeds);
    const parts = kept.map((value) => bytesOf(outputs[value.name]!));
    return runInSlices(this.#cut(parts, places.length));
  }

  /** The first `count` rows of the prefix's outputs, each with its part of all values. */
  *#cut(parts: readonly Uint8Array[], count: number): Generator<void, Uint8Array[]> {
    const found: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      const row = new Uint8Array(this.#rowBytes);
      let offset = 0;
      for (const part of parts) {
        const length = part.byteLength / this.#request.rows;
        row.set(part.subarray(i * length, (i + 1) * length), offset);
        offset += length;
        yield;
      }
      found.push(row);
    }
    return found;
  }
}

function partBytes({ type, dims }: KeptValue, rows: number): number {
  return (sizeOf(dims) * bytesPerElement(type)) / rows;
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function tensorOf({ type, dims: [first, ...others] }: KeptValue, bytes: Uint8Array, times: number): Tensor {
  const data = new (arrayOf(type))(bytes.buffer as ArrayBuffer) as TensorData;
  return { type, dims: [first! * times, ...others], data };
}

/** `rows` rows of a batch: those at `places`, then the last of them repeated. */
function pick({ type, dims, data }: Tensor, places: readonly number[], rows: number, total: number): Tensor {
  const length = data.length / total;
  const picked = new (arrayOf(type))(length * rows);
  for (let i = 0; i < rows; i++) {
    const place = places[Math.min(i, places.length - 1)]!;
    // One constructor on both sides, which the union of typed arrays cannot express.
    (picked as Float32Array).set(data.subarray(place * length, (place + 1) * length) as Float32Array, i * length);
  }
  return { type, dims: [rows, ...dims.slice(1)], data: picked };
}
