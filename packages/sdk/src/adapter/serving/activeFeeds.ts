/** @file Resolves a run's adapters to feeds: one adapter, a blend, or one per row. */

import { OnnxLoraError } from '../../errors.ts';
import type { Injected } from '../../lora/inject.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import type { BoundFeeds } from '../../runtime/boundFeeds.ts';
import type { Session } from '../../runtime/session.ts';
import { type Feeds, int64, type Tensor } from '../../runtime/tensor.ts';
import { type AdapterBank, bytesOf, type HeldAdapter, type HeldFeeds, hold } from './adapterBank.ts';
import { bankFeeds, bankOfOne, type TakeMemory } from './bankFeeds.ts';
import { blendFeeds, type AdapterFeeds } from './feeds.ts';

/** Several adapters at once: W + Σ wᵢ·ΔWᵢ, with wᵢ by adapter name. */
export type AdapterBlend = Readonly<Record<string, number>>;

/** An adapter for a row or all rows: a name, a blend, or null for the base. */
export type RowAdapter = string | AdapterBlend | null;

/** A run's adapters: one for the whole batch, or one per row. */
export type AdapterChoice = RowAdapter | readonly RowAdapter[];

/** Adapter feeds of a run. */
export interface ActiveFeeds {
  readonly bound: readonly BoundFeeds[];
  readonly feeds: Feeds;
}

/** Distinct names in a choice. */
export function namesIn(choice: AdapterChoice): string[] {
  const rows: readonly RowAdapter[] = isRows(choice) ? choice : [choice];
  return [...new Set(rows.flatMap((row) => (row === null ? [] : typeof row === 'string' ? [row] : Object.keys(row))))];
}

/** True for a choice per row. */
export function isRows(choice: AdapterChoice): choice is readonly RowAdapter[] {
  return Array.isArray(choice);
}

/** The adapter of each row. */
export function perRow(choice: AdapterChoice, rows: number): readonly RowAdapter[] {
  return isRows(choice) ? choice : Array<RowAdapter>(rows).fill(choice);
}

/** Limit of cached combinations; larger ones are not cached. */
const MAX_COMBINED_BYTES = 64 * 2 ** 20;

/** A blend, or a bank with the adapters of a mixed batch. */
interface Combination extends HeldFeeds {
  readonly members: ReadonlySet<HeldAdapter>;
  /** Indices of the rows' choices in a bank; empty for a blend. */
  readonly places: ReadonlyMap<string, number>;
}

type Members = ReadonlyMap<string, HeldAdapter>;

/** Finds the feeds of a run, with an LRU cache of combinations. */
export class ActiveAdapters {
  readonly #session: Session;
  readonly #inputs: readonly AdapterInput[];
  readonly #rows: string | undefined;
  readonly #baseTensors: AdapterFeeds;
  readonly #base: HeldFeeds;
  readonly #combinations = new Map<string, Combination>();
  #combinedBytes = 0;

  /** @param base the base's feeds, one per input */
  constructor(session: Session, { inputs, rows }: Pick<Injected, 'inputs' | 'rows'>, base: AdapterFeeds) {
    this.#session = session;
    this.#inputs = inputs;
    this.#rows = rows;
    this.#baseTensors = base;
    this.#base = hold(bankOfOne(base, inputs), session);
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for unknown adapters, invalid weights, no sum, or rows that cannot differ */
  of(choice: AdapterChoice, bank: AdapterBank): ActiveFeeds {
    if (choice === null) return this.#active([this.#base]);
    if (typeof choice === 'string') return this.#active([this.#base, bank.get(choice)]);
    // Resolved here: a combination belongs to the present owners of these names.
    const members = new Map(namesIn(choice).map((name) => [name, bank.get(name)]));
    if (!isRows(choice)) {
      const make = (): AdapterFeeds => bankOfOne(this.#blend(choice, members), this.#inputs);
      return this.#active([this.#base, this.#combination(keyOf(choice), make, members)]);
    }
    const keys = choice.map(keyOf);
    const mixed = this.#bankWith(new Map(choice.map((row, i) => [keys[i]!, row])), members);
    return this.#active([mixed], keys);
  }

  removed(adapter: HeldAdapter): void {
    for (const [key, combination] of this.#combinations) if (combination.members.has(adapter)) this.#forget(key);
  }

  /** Joins the feeds, with the rows' indices in a bank. */
  #active(held: readonly (HeldFeeds | Combination)[], rowKeys?: readonly string[]): ActiveFeeds {
    const feeds: Record<string, Tensor> = Object.assign({}, ...held.map((each) => each.feeds));
    if (this.#rows !== undefined) {
      const { places } = held[0] as Combination;
      feeds[this.#rows] = rowKeys
        ? int64(
            rowKeys.map((key) => places.get(key)!),
            [rowKeys.length],
          )
        : int64([0], []);
    }
    return { bound: held.flatMap((each) => each.bound ?? []), feeds };
  }

  #bankWith(rows: ReadonlyMap<string, RowAdapter>, members: Members): Combination {
    const keys = [...rows.keys()].sort();
    const known = [...this.#combinations].find(([, { places }]) => keys.every((key) => places.has(key)));
    const make = (take: TakeMemory): AdapterFeeds =>
      bankFeeds(
        keys.map((key) => this.#whole(rows.get(key)!, members)),
        this.#inputs,
        take,
      );
    return this.#combination(known?.[0] ?? `[${keys.join()}]`, make, members, keys);
  }

  #combination(
    key: string,
    make: (take: TakeMemory) => AdapterFeeds,
    members: Members,
    keys: readonly string[] = [],
  ): Combination {
    const known = this.#combinations.get(key);
    if (known) {
      this.#combinations.delete(key);
      this.#combinations.set(key, known);
      return known;
    }
    let memory: ArrayBuffer | undefined;
    const feeds = make((size) => (memory = this.#session.memory?.take(size) ?? new ArrayBuffer(size)));
    const bytes = bytesOf(feeds);
    const parts = { members: new Set(members.values()), places: new Map(keys.map((each, i) => [each, i])) };
    if (bytes > MAX_COMBINED_BYTES) return { ...parts, feeds: Object.fromEntries(feeds), bound: undefined, bytes };
    const combination = { ...parts, ...hold(feeds, this.#session, memory) };
    this.#combinations.set(key, combination);
    this.#combinedBytes += bytes;
    for (const oldest of this.#combinations.keys()) {
      if (this.#combinedBytes <= MAX_COMBINED_BYTES) break;
      this.#forget(oldest);
    }
    return combination;
  }

  #forget(key: string): void {
    const { bound, bytes } = this.#combinations.get(key)!;
    this.#combinations.delete(key);
    this.#combinedBytes -= bytes;
    bound?.release();
  }

  /** A tensor for each input: the base's if the adapter has none. */
  #whole(row: RowAdapter, members: Members): AdapterFeeds {
    if (row === null) return this.#baseTensors;
    const own = typeof row === 'string' ? members.get(row)!.tensors : this.#blend(row, members);
    return new Map([...this.#baseTensors, ...own]);
  }

  #blend(blend: AdapterBlend, members: Members): AdapterFeeds {
    const parts = Object.entries(blend).map(([name, weight]) => {
      if (typeof weight !== 'number' || !Number.isFinite(weight)) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `The weight of the adapter "${name}" must be a finite number, but it is ${String(weight)}.`,
        );
      }
      return { feeds: members.get(name)!.tensors, weight, name };
    });
    return blendFeeds(parts, this.#inputs, this.#baseTensors);
  }
}

/** Equal for equal feeds: the order of a blend's names does not matter. */
export function keyOf(row: RowAdapter): string {
  if (row === null || typeof row === 'string') return JSON.stringify(row);
  const entries = Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, weight]) => `${JSON.stringify(name)}:${weight}`).join()}}`;
}
