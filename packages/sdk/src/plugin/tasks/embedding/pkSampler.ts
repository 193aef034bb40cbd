/** @file A PK sampler for metric learning: K examples of one kind at a time, so that a batch has some of each of P kinds. */

import { OnnxLoraError } from '../../../errors.ts';
import { drawSeed, Random } from '../../../runtime/random.ts';
import type { Dataset } from '../../dataset.ts';

/** Examples of one kind. */
export interface KindGroup<Item> {
  /** The examples. */
  readonly items: readonly Item[];
  /** Number of their kind. */
  readonly label: number;
}

/** What groups are made of. */
export interface KindItems<Item> {
  /** The number of each example's kind. */
  readonly labels: readonly number[];
  /** Loads one; `draw` as `Dataset.get` has it. */
  load(index: number, draw?: number): Promise<Item>;
  /** What it is called in messages. */
  nameOf(index: number): string;
  /** What tells it from all others, as `Dataset.keyOf` has it. */
  keyOf?(index: number): Promise<string>;
}

/** How they are grouped. */
export interface KindGrouping {
  /** Examples per group. */
  readonly perGroup: number;
  /** Whether an example that is drawn twice differs. */
  readonly isAugmented: boolean;
  /** Seeds which examples come together. */
  readonly seed: number;
  /** What examples are called, in the plural: `images`. */
  readonly noun: string;
}

/**
 * Groups of `perGroup` examples of one kind: a batch of P groups is the P × K batch of metric learning. Of every kind there are
 * as many groups as its examples fill; each pass over the data divides them anew, so that each comes about once. Kinds
 * of one example are left out, unless augmentations make others of it.
 *
 * @see https://arxiv.org/abs/1703.07737, section 2 (P × K batches)
 */
export class PkSampler<Item> implements Dataset<KindGroup<Item>> {
  readonly #items: KindItems<Item>;
  readonly #grouping: KindGrouping;
  /** By group: the examples of its kind, and which group of that kind it is. */
  readonly #groups: readonly { readonly members: readonly number[]; readonly part: number }[];
  /** As `Dataset.keyOf` has it: of each example of its kind one group has the key, also where a pass leaves it out. */
  readonly keyOf?: (index: number) => Promise<readonly string[]>;

  /** @throws OnnxLoraError `DATA_INVALID` unless two kinds have two examples each */
  constructor(items: KindItems<Item>, grouping: KindGrouping) {
    const { labels } = items;
    const { perGroup, isAugmented, noun } = grouping;
    const byLabel = new Map<number, number[]>();
    labels.forEach((label, index) => {
      const members = byLabel.get(label);
      if (members) members.push(index);
      else byLabel.set(label, [index]);
    });
    const fewest = isAugmented ? 1 : 2;
    const kinds = [...byLabel.values()].filter((members) => members.length >= fewest);
    if (kinds.length < 2) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The ${labels.length} training ${noun} show ${byLabel.size} kinds, of which ${kinds.length} have two ${noun} or more. Learning what is alike needs at least two such kinds: add ${noun}, or augmentations.`,
      );
    }
    this.#items = items;
    this.#grouping = grouping;
    this.#groups = kinds.flatMap((members) =>
      Array.from({ length: Math.max(1, Math.floor(members.length / perGroup)) }, (_, part) => ({ members, part })),
    );
    if (!items.keyOf) return;
    this.keyOf = (index) => {
      const { members, part } = this.#groups[index]!;
      const isLast = this.#groups[index + 1]?.members !== members;
      const own = members.slice(part * perGroup, isLast ? undefined : (part + 1) * perGroup);
      return Promise.all(own.map((member) => items.keyOf!(member)));
    };
  }

  get length(): number {
    return this.#groups.length;
  }

  /** The first example of the group, as it is without a draw. */
  nameOf(index: number): string {
    const group = this.#groups[index];
    return group ? this.#items.nameOf(group.members[0]!) : String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when one cannot be loaded */
  async get(index: number, draw?: number): Promise<KindGroup<Item>> {
    const group = this.#groups[index];
    if (!group) throw new RangeError(`There is no group ${index}: there are ${this.#groups.length}.`);
    const { perGroup } = this.#grouping;
    const items = await Promise.all(
      this.#members(group, draw).map((member, i) =>
        draw === undefined ? this.#items.load(member) : this.#items.load(member, draw * perGroup + i),
      ),
    );
    return { items, label: this.#items.labels[group.members[0]!]! };
  }

  /** The examples of a group, from an order that is the same for all groups of a kind in one pass over the data. */
  #members({ members, part }: { readonly members: readonly number[]; readonly part: number }, draw?: number): number[] {
    const { seed, perGroup } = this.#grouping;
    const pass = draw === undefined ? 0 : Math.floor(draw / this.#groups.length);
    const order =
      draw === undefined
        ? members
        : new Random(drawSeed(seed, pass)).permutation(members.length).map((at) => members[at]!);
    return Array.from({ length: perGroup }, (_, i) => order[(part * perGroup + i) % order.length]!);
  }
}

/** The same examples one by one, to be measured. */
export class SingleKinds<Item> implements Dataset<KindGroup<Item>> {
  readonly isDeterministic = true;
  readonly #items: KindItems<Item>;
  /** As `Dataset.keyOf` has it. */
  readonly keyOf?: (index: number) => Promise<string>;

  /** One group per example. */
  constructor(items: KindItems<Item>) {
    this.#items = items;
    if (items.keyOf) this.keyOf = (index) => items.keyOf!(index);
  }

  get length(): number {
    return this.#items.labels.length;
  }

  /** What the example is called. */
  nameOf(index: number): string {
    return index < this.length ? this.#items.nameOf(index) : String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when it cannot be loaded */
  async get(index: number): Promise<KindGroup<Item>> {
    if (!(index < this.length)) throw new RangeError(`There is no example ${index}: there are ${this.length}.`);
    return { items: [await this.#items.load(index)], label: this.#items.labels[index]! };
  }
}
