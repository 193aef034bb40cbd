/** @file The order in which examples are seen. */

import { OnnxLoraError } from '../../errors.ts';
import { Random, type RandomState } from '../../runtime/random.ts';
import { lengthOrder, weightedOrder } from './orders.ts';

/** Where a sampler stands: enough to go on exactly. */
export interface SamplerState {
  /** The generator as it was before it drew the present order. */
  readonly random: RandomState;
  /** Examples of the present order that were handed out. */
  readonly position: number;
  /** Orders drawn before the present one. */
  readonly epoch: number;
}

/** What an epoch's order depends on beside chance: how often each example comes, or how long each is; nothing by default. */
export interface OrderOptions {
  /** How often each example comes, compared with others. */
  readonly weights?: readonly number[];
  /** How long each example is: batches are then of examples of about one length. */
  readonly lengths?: readonly number[];
  /** With lengths: most that a batch may hold, its examples counted as long as the longest; at least one example it has. */
  readonly batchLength?: number;
}

/**
 * Indices for batch after batch without end: every epoch a new random order, in which each example comes once, or with weights
 * as often as its weight says. With lengths a batch is of examples of about one length, and with `batchLength` of as many as that has room for. A batch that an epoch does not fill is filled from the next, so that all batches have one size.
 */
export class ShuffledBatches implements Iterator<number[], never> {
  readonly #length: number;
  readonly #batchSize: number;
  readonly #random: Random;
  readonly #options: OrderOptions;
  #order: readonly number[] = [];
  #before: RandomState;
  #position = 0;
  #epoch = -1;

  /**
   * The sampler has its random numbers for itself: whoever else drew from them would make its state incomplete.
   *
   * @throws OnnxLoraError `DATA_INVALID` where there are no examples
   */
  constructor(length: number, batchSize: number, seed: number | RandomState, options: OrderOptions = {}) {
    if (length < 1)
      throw new OnnxLoraError('DATA_INVALID', 'There are no examples to train on. Check what the task was given.');
    this.#length = length;
    this.#batchSize = batchSize;
    this.#options = options;
    this.#random = typeof seed === 'number' ? new Random(seed) : Random.at(seed);
    this.#before = this.#random.state();
  }

  /** How many examples were drawn, over all epochs. */
  get drawn(): number {
    return Math.max(this.#epoch, 0) * this.#length + this.#position;
  }

  /** The next batch. */
  next(): { readonly done: false; readonly value: number[] } {
    const { lengths, batchLength = Infinity } = this.#options;
    const batch: number[] = [];
    let longest = 0;
    while (batch.length < this.#batchSize) {
      if (this.#position === this.#order.length) this.#shuffle();
      const index = this.#order[this.#position]!;
      longest = Math.max(longest, lengths?.[index] ?? 0);
      if (batch.length > 0 && longest * (batch.length + 1) > batchLength) break;
      batch.push(index);
      this.#position++;
    }
    return { done: false, value: batch };
  }

  /** Where it stands. Small, whatever the number of examples: take one after each batch where batches are loaded ahead. */
  state(): SamplerState {
    return { random: this.#before, position: this.#position, epoch: this.#epoch };
  }

  /**
   * A sampler that goes on from a state, over as many examples with the same options.
   *
   * @throws OnnxLoraError `FILE_INVALID` for a state that cannot be one of so many examples
   */
  static at(
    { random, position, epoch }: SamplerState,
    length: number,
    batchSize: number,
    options: OrderOptions = {},
  ): ShuffledBatches {
    const sampler = new ShuffledBatches(length, batchSize, random, options);
    if (epoch >= 0) sampler.#shuffle();
    if (!Number.isInteger(position) || position < 0 || position > sampler.#order.length) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `The saved order of examples does not belong to this data: it stands at example ${position} of ${length}. Resume with the data that it was saved with, or start anew.`,
      );
    }
    sampler.#position = position;
    sampler.#epoch = epoch;
    return sampler;
  }

  #shuffle(): void {
    this.#before = this.#random.state();
    this.#order = this.#drawOrder();
    this.#position = 0;
    this.#epoch++;
  }

  #drawOrder(): readonly number[] {
    const { weights, lengths } = this.#options;
    if (weights) return weightedOrder(this.#random, weights);
    if (lengths) return lengthOrder(this.#random, lengths, this.#batchSize);
    return this.#random.permutation(this.#length);
  }
}
