/** @file Examples for metric learning: several images of one kind at a time, so that every batch has some of each kind. */

import { type Dataset, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/core';
import { type Augmentation, drawSeed } from '../../../augment/augment.ts';
import { atPlace, nameOfRecord } from '../../../data/atPlace.ts';
import type { ImageRecord } from '../../../data/imageRecord.ts';
import type { ImageLoader } from '../../../preprocess/imageRequest.ts';

/** Images of one kind, ready to be fed. */
export interface ImageGroup {
  /** Each float32 `[3, height, width]`. */
  readonly pixels: readonly Tensor[];
  /** Number of what they show. */
  readonly label: number;
}

/** What groups are made of. */
export interface IdentityGroupsRequest {
  readonly records: readonly ImageRecord[];
  /** The number of each record's label. */
  readonly labels: readonly number[];
  readonly images: ImageLoader;
  /** Images per group. */
  readonly perGroup: number;
  readonly augmentations: readonly Augmentation[];
  readonly seed: number;
}

/**
 * Groups of `perGroup` images of one kind: a batch of P groups is the P × K batch of metric learning. Of every kind there are as
 * many groups as its images fill; each pass over the data divides its images anew, so that each comes about once. Kinds
 * of one image are left out, unless augmentations make others of it.
 *
 * @see https://arxiv.org/abs/1703.07737, section 2 (P × K batches)
 */
export class IdentityGroups implements Dataset<ImageGroup> {
  readonly #request: IdentityGroupsRequest;
  /** By group: the images of its kind, and which group of that kind it is. */
  readonly #groups: readonly { readonly members: readonly number[]; readonly part: number }[];

  /** @throws OnnxLoraError `DATA_INVALID` unless two kinds have two images each */
  constructor(request: IdentityGroupsRequest) {
    const { labels, perGroup, augmentations, records } = request;
    const byLabel = new Map<number, number[]>();
    labels.forEach((label, index) => {
      const members = byLabel.get(label);
      if (members) members.push(index);
      else byLabel.set(label, [index]);
    });
    const fewest = augmentations.length > 0 ? 1 : 2;
    const kinds = [...byLabel.values()].filter((members) => members.length >= fewest);
    if (kinds.length < 2) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The ${records.length} training images show ${byLabel.size} kinds, of which ${kinds.length} have two images or more. Learning what is alike needs at least two such kinds: add images, or augmentations.`,
      );
    }
    this.#request = request;
    this.#groups = kinds.flatMap((members) =>
      Array.from({ length: Math.max(1, Math.floor(members.length / perGroup)) }, (_, part) => ({ members, part })),
    );
  }

  get length(): number {
    return this.#groups.length;
  }

  /** The first image of the group, as it is without a draw. */
  nameOf(index: number): string {
    const group = this.#groups[index];
    return group ? nameOfRecord(this.#request.records[group.members[0]!]!) : String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when an image cannot be decoded */
  async get(index: number, draw?: number): Promise<ImageGroup> {
    const group = this.#groups[index];
    if (!group) throw new RangeError(`There is no group ${index}: there are ${this.#groups.length}.`);
    const { records, labels, images, perGroup, augmentations, seed } = this.#request;
    const pixels = await Promise.all(
      this.#members(group, draw).map(async (member, i) => {
        const record = records[member]!;
        const isDrawn = draw !== undefined && augmentations.length > 0;
        const drawn = isDrawn ? { augmentations, seed: drawSeed(seed, draw * perGroup + i) } : {};
        return (await atPlace(record, () => images.load({ image: record.file, ...drawn }))).pixels;
      }),
    );
    return { pixels, label: labels[group.members[0]!]! };
  }

  /** The images of a group, from an order that is the same for all groups of a kind in one pass over the data. */
  #members({ members, part }: { readonly members: readonly number[]; readonly part: number }, draw?: number): number[] {
    const { seed, perGroup } = this.#request;
    const pass = draw === undefined ? 0 : Math.floor(draw / this.#groups.length);
    const order =
      draw === undefined
        ? members
        : new Random(drawSeed(seed, pass)).permutation(members.length).map((at) => members[at]!);
    return Array.from({ length: perGroup }, (_, i) => order[(part * perGroup + i) % order.length]!);
  }
}

/** The same images one by one, to be measured. */
export class SingleImages implements Dataset<ImageGroup> {
  readonly isDeterministic = true;
  readonly #request: Pick<IdentityGroupsRequest, 'images' | 'labels' | 'records'>;

  constructor(request: Pick<IdentityGroupsRequest, 'images' | 'labels' | 'records'>) {
    this.#request = request;
  }

  get length(): number {
    return this.#request.records.length;
  }

  /** The image's path, and where the data names it. */
  nameOf(index: number): string {
    const record = this.#request.records[index];
    return record ? nameOfRecord(record) : String(index);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file, when the image cannot be decoded */
  async get(index: number): Promise<ImageGroup> {
    const record = this.#request.records[index];
    if (!record) throw new RangeError(`There is no image ${index}: there are ${this.length}.`);
    const { pixels } = await atPlace(record, () => this.#request.images.load({ image: record.file }));
    return { pixels: [pixels], label: this.#request.labels[index]! };
  }
}
