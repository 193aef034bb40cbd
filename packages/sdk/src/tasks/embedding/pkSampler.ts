/** @file A PK sampler for metric learning: K examples of one kind at a time, so that a batch has some of each of P kinds. */

import { OnnxLoraError } from '../../errors.ts';
import { drawSeed, Random } from '../../runtime/random.ts';
import { placesByValue } from '../../data/splits/splitRecords.ts';
import type { Dataset } from '../../plugin/dataset.ts';

/** Examples of one kind. */
export interface KindGroup<Item> {
  /** The examples. */
  readonly items: readonly Item[];
  /** Number of their kind. */
  readonly label: number;
  /** Number of the kind of each, where they are not of one: the last of a group that has a hard negative is. */
  readonly labels?: readonly number[];
  /** Whether each asks, where some are there to be found alone. */
  readonly asks?: readonly boolean[];
}

/** Examples, and which are of one kind. */
export interface KindItems<Item> {
  /** The examples. */
  readonly dataset: Dataset<Item>;
  /** The number of each example's kind. */
  readonly labels: readonly number[];
  /** Whether each asks, where some are there to be found alone. */
  readonly asks?: readonly boolean[];
  /** Of each example, the numbers of others that are like it and wrong, of which a group gets one; all kinds have some, or none. */
  readonly negatives?: readonly (readonly number[])[];
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
    const byLabel = placesByValue(labels);
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
    const { dataset } = items;
    if (!dataset.keyOf) return;
    this.keyOf = async (index) => {
      const { members, part } = this.#groups[index]!;
      const isLast = this.#groups[index + 1]?.members !== members;
      const own = members.slice(part * perGroup, isLast ? undefined : (part + 1) * perGroup);
      return (await Promise.all(own.map((member) => dataset.keyOf!(member)))).flat();
    };
  }

  get length(): number {
    return this.#groups.length;
  }

  /** The first example of the group, as it is without a draw. */
  nameOf(index: number): string {
    const group = this.#groups[index];
    return (group && this.#items.dataset.nameOf?.(group.members[0]!)) ?? String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when one cannot be loaded */
  async get(index: number, draw?: number): Promise<KindGroup<Item>> {
    const group = this.#groups[index];
    if (!group) throw new RangeError(`There is no group ${index}: there are ${this.#groups.length}.`);
    const { perGroup } = this.#grouping;
    const { dataset, labels } = this.#items;
    const items = await Promise.all(
      this.#members(group, draw).map((member, i) =>
        draw === undefined ? dataset.get(member) : dataset.get(member, draw * perGroup + i),
      ),
    );
    const label = labels[group.members[0]!]!;
    const negatives = group.members.flatMap((member) => this.#items.negatives?.[member] ?? []);
    if (negatives.length === 0) return { items, label };
    const random = new Random(drawSeed(this.#grouping.seed, draw ?? 0));
    const negative = negatives[draw === undefined ? 0 : random.index(negatives.length)]!;
    const wrong = await (draw === undefined
      ? dataset.get(negative)
      : dataset.get(negative, draw * perGroup + perGroup));
    return { items: [...items, wrong], label, labels: [...items.map(() => label), labels[negative]!] };
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
export function singleKinds<Item>({ dataset, labels, asks }: KindItems<Item>): Dataset<KindGroup<Item>> {
  return {
    isDeterministic: true,
    length: labels.length,
    nameOf: (index) => dataset.nameOf?.(index) ?? String(index),
    ...(dataset.keyOf && { keyOf: (index) => dataset.keyOf!(index) }),
    get: async (index) => ({
      items: [await dataset.get(index)],
      label: labels[index]!,
      ...(asks && { asks: [asks[index]!] }),
    }),
  };
}
