/** @file The adapters of a session: added, replaced, removed and loaded while it runs. */

import { nextTurn } from '../../platform/pause.ts';
import { OnnxLoraError, didYouMean } from '../../errors.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import type { BoundFeeds } from '../../runtime/boundFeeds.ts';
import type { Session } from '../../runtime/session.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { Adapter } from '../adapter.ts';
import { bankOfOne } from './bankFeeds.ts';
import { type AdapterFeeds, adapterFeeds } from './feeds.ts';
import type { PlacedAdapter } from '../naming/place.ts';
import { requireSlots } from './slots.ts';

/** Loads adapters that a run names and the session lacks. */
export interface AdapterSource {
  /** Loads an adapter. Names may be untrusted: check them before using them as paths. */
  load(name: string): Promise<Adapter>;
  /** Maximum number of adapters from here, evicted by least recent use; unlimited by default. */
  readonly maxAdapters?: number;
  /** Maximum bytes of their feeds; unlimited by default. */
  readonly maxBytes?: number;
}

/** Feeds that the session's runs read. */
export interface HeldFeeds {
  /** Feeds to pass with each run: all of them if the runtime does not hold tensors. */
  readonly feeds: Feeds;
  readonly bound: BoundFeeds | undefined;
  readonly bytes: number;
}

/** Binds feeds to the session if its runtime supports it. Some may be in `memory` of the session. */
export function hold(feeds: AdapterFeeds, session: Session, memory?: ArrayBuffer): HeldFeeds {
  const all = Object.fromEntries(feeds);
  const bytes = bytesOf(feeds);
  const bound = session.bind?.(all, memory);
  return { feeds: bound ? {} : all, bound, bytes };
}

/** Total bytes of the feeds. */
export function bytesOf(feeds: AdapterFeeds): number {
  let bytes = 0;
  for (const { data } of feeds.values()) bytes += data.byteLength;
  return bytes;
}

/** An adapter of a session. A replaced name gets a new object. */
export interface HeldAdapter extends HeldFeeds {
  readonly name: string;
  readonly tensors: AdapterFeeds;
}

/** Dependencies of a bank. */
export interface BankRequest {
  readonly session: Session;
  readonly inputs: readonly AdapterInput[];
  readonly place: (adapter: Adapter, options: PlaceOptions) => Promise<PlacedAdapter>;
  readonly source?: AdapterSource | undefined;
  readonly onRemoved: (adapter: HeldAdapter) => void;
}

/** How an adapter is checked. */
export interface PlaceOptions {
  /** Accepts an adapter of other base weights. */
  readonly allowBaseMismatch?: boolean;
}

/** Adapters by name. */
export class AdapterBank {
  readonly #request: BankRequest;
  readonly #held = new Map<string, HeldAdapter>();
  readonly #loaded = new Map<string, HeldAdapter>();
  readonly #loading = new Map<string, Promise<void>>();
  /** Cached places: a server checks an adapter before loading it. */
  readonly #placed = new WeakMap<Adapter, PlacedAdapter>();
  /** Number of runs waiting for a name, which protects it from eviction. */
  readonly #wanted = new Map<string, number>();

  constructor(request: BankRequest) {
    this.#request = request;
  }

  get names(): string[] {
    return [...this.#held.keys()];
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for a name in use, `ADAPTER_MISMATCH` */
  async add(name: string, adapter: Adapter, options: PlaceOptions): Promise<void> {
    this.#requireFree(name);
    const placed = await this.#request.place(adapter, options);
    await this.#put(name, placed, () => this.#requireFree(name));
  }

  /** @throws OnnxLoraError `ADAPTER_MISMATCH` if the graph lacks slots for the adapter */
  async requireRoom(adapter: Adapter, options: PlaceOptions): Promise<void> {
    const placed = await this.#request.place(adapter, options);
    requireSlots(placed, this.#request.inputs, 'the adapter');
    this.#placed.set(adapter, placed);
  }

  addPlaced(name: string, placed: PlacedAdapter): Promise<void> {
    return this.#put(name, placed, () => undefined);
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for an unknown name, `ADAPTER_MISMATCH` */
  async replace(name: string, adapter: Adapter, options: PlaceOptions): Promise<void> {
    this.get(name);
    await this.#put(name, await this.#request.place(adapter, options), () => this.get(name));
  }

  remove(name: string): boolean {
    const held = this.#held.get(name);
    if (!held) return false;
    this.#held.delete(name);
    this.#loaded.delete(name);
    this.#drop(held);
    return true;
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for an unknown name */
  get(name: string): HeldAdapter {
    const held = this.#held.get(name);
    if (!held) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `This session has no adapter "${name}".${didYouMean(name, this.names)} It has ${this.names.join(', ') || 'none'}; name one of these, or null for the base.`,
      );
    }
    if (this.#loaded.delete(name)) this.#loaded.set(name, held);
    return held;
  }

  mustLoad(names: readonly string[]): boolean {
    return this.#request.source !== undefined && names.some((name) => !this.#held.has(name));
  }

  /** Calls `use` once the source has loaded missing adapters. */
  async withLoaded<T>(names: readonly string[], use: () => T): Promise<T> {
    for (const name of names) this.#wanted.set(name, (this.#wanted.get(name) ?? 0) + 1);
    try {
      await Promise.all(names.filter((name) => !this.#held.has(name)).map((name) => this.#load(name)));
      return use();
    } finally {
      for (const name of names) {
        const count = this.#wanted.get(name)! - 1;
        if (count === 0) this.#wanted.delete(name);
        else this.#wanted.set(name, count);
      }
    }
  }

  #load(name: string): Promise<void> {
    let loading = this.#loading.get(name);
    if (!loading) {
      loading = this.#fromSource(name).finally(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return loading;
  }

  async #fromSource(name: string): Promise<void> {
    const adapter = await this.#request.source!.load(name);
    const placed = this.#placed.get(adapter) ?? (await this.#request.place(adapter, {}));
    await this.#put(name, placed, () => undefined);
    this.#loaded.set(name, this.#held.get(name)!);
    this.#makeRoom();
  }

  #makeRoom(): void {
    const { maxAdapters = Infinity, maxBytes = Infinity } = this.#request.source!;
    let bytes = [...this.#loaded.values()].reduce((sum, each) => sum + each.bytes, 0);
    for (const [name, held] of this.#loaded) {
      if (this.#loaded.size <= maxAdapters && bytes <= maxBytes) return;
      if (this.#wanted.has(name)) continue;
      bytes -= held.bytes;
      this.remove(name);
    }
  }

  async #put(name: string, placed: PlacedAdapter, check: () => unknown): Promise<void> {
    const { inputs, session } = this.#request;
    requireSlots(placed, inputs, name);
    const tensors = await gathered(adapterFeeds(placed, inputs));
    check();
    const before = this.#held.get(name);
    this.#held.set(name, { name, tensors, ...hold(bankOfOne(tensors, inputs), session) });
    this.#loaded.delete(name);
    if (before) this.#drop(before);
  }

  #drop(held: HeldAdapter): void {
    held.bound?.release();
    this.#request.onRemoved(held);
  }

  #requireFree(name: string): void {
    if (!this.#held.has(name)) return;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `This session has an adapter "${name}" already. Replace it, remove it first, or choose another name.`,
    );
  }
}

/** Milliseconds of work before yielding. */
const TURN = 5;

/** Collects feeds without blocking the event loop for long. */
async function gathered(entries: Iterable<[string, Tensor]>): Promise<AdapterFeeds> {
  const feeds = new Map<string, Tensor>();
  let start = performance.now();
  for (const [name, tensor] of entries) {
    feeds.set(name, tensor);
    if (performance.now() - start < TURN) continue;
    await nextTurn();
    start = performance.now();
  }
  return feeds;
}
