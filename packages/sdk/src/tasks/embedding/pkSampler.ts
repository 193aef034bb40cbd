/** @file The PK sampler of metric learning: groups of K examples of a kind, so that a batch has P kinds. */

import { OnnxLoraError } from '../../errors.ts';
import { drawSeed, Random } from '../../runtime/random.ts';
import { placesByValue } from '../../data/splits/splitRecords.ts';
import type { Dataset } from '../../plugin/dataset.ts';

/** Examples of one kind. */
export interface KindGroup<Item> {
  /** The examples. */
  readonly items: readonly Item[];
  /** Index of their kind. */
  readonly label: number;
  /** Index of each example's kind, if they differ: a hard negative comes last. */
  readonly labels?: readonly number[];
  /** Whether each is a query, if some are only searched. */
  readonly asks?: readonly boolean[];
}

/** Examples with their kinds. */
export interface KindItems<Item> {
  /** The examples. */
  readonly dataset: Dataset<Item>;
  /** Index of each example's kind. */
  readonly labels: readonly number[];
  /** Whether each is a query, while the others are searched; without it, each example searches all others. */
  readonly asks?: readonly boolean[];
  /** Hard negatives of each example, by index; a group gets one of them. Either all kinds have some, or none has. */
  readonly negatives?: readonly (readonly number[])[];
}

/** How examples are grouped. */
export interface KindGrouping {
  /** Examples per group. */
  readonly perGroup: number;
  /** Whether repeated draws of an example differ. */
  readonly isAugmented: boolean;
  /** Seed of the grouping. */
  readonly seed: number;
  /** Examples in the plural: `images`. */
  readonly noun: string;
}

/**
 * Groups of `perGroup` examples of one kind, so that P groups are the P × K batch of metric learning
 * (https://arxiv.org/abs/1703.07737, section 2). A kind has as many groups as its examples fill. Each pass regroups
 * them, so that each example occurs about once. Kinds of one example are left out, unless examples are augmented.
 */
export class PkSampler<Item> implements Dataset<KindGroup<Item>> {
  readonly #items: KindItems<Item>;
  readonly #grouping: KindGrouping;
  /** Per group, the examples of its kind, and the index of the group within the kind. */
  readonly #groups: readonly { readonly members: readonly number[]; readonly part: number }[];
  /** As `Dataset.keyOf`; each example's key belongs to one group, even if a pass leaves the example out. */
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
        `The ${labels.length} training ${noun} show ${byLabel.size} kinds, and ${kinds.length} of them have two ${noun} or more. Learning what is alike needs at least two such kinds: add ${noun}, or augmentations.`,
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

  /** Name of the group's first example in evaluation order. */
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

  /** The examples of a group. All groups of a kind share one order per pass over the data. */
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

/** The examples one by one, for evaluation. */
export function singletonGroups<Item>({ dataset, labels, asks }: KindItems<Item>): Dataset<KindGroup<Item>> {
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
