/** @file The order of training examples: shuffled, weighted, or grouped by length. */

import { OnnxLoraError } from '../../errors.ts';
import { Random, type RandomState } from '../../runtime/random.ts';

/** A sampler's state, to resume exactly. */
export interface SamplerState {
  /** The generator's state before the current order was drawn. */
  readonly random: RandomState;
  /** Examples of the current order already returned. */
  readonly position: number;
  /** Orders drawn before the current one. */
  readonly epoch: number;
}

/** Weights or lengths of examples for an epoch's order; neither by default. */
export interface OrderOptions {
  /** Relative frequency of each example. */
  readonly weights?: readonly number[];
  /** Length of each example, to group batches by length. */
  readonly lengths?: readonly number[];
  /** With lengths: limit of a batch's size times its longest length; a batch has at least one example. */
  readonly batchLength?: number;
}

/**
 * Endless batches of indices: every epoch is a new random order with each example once, or by weight. With lengths,
 * batches have similar lengths, and `batchLength` limits their size. A batch that an epoch does not fill continues in
 * the next.
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

  /** @throws OnnxLoraError `DATA_INVALID` without examples */
  constructor(length: number, batchSize: number, seed: number | RandomState, options: OrderOptions = {}) {
    if (length < 1)
      throw new OnnxLoraError('DATA_INVALID', "There are no examples to train on. Check the task's data.");
    this.#length = length;
    this.#batchSize = batchSize;
    this.#options = options;
    this.#random = typeof seed === 'number' ? new Random(seed) : Random.at(seed);
    this.#before = this.#random.state();
  }

  /** Number of examples drawn, over all epochs. */
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

  /** The current state. Small: take one after each batch if batches are loaded ahead. */
  state(): SamplerState {
    return { random: this.#before, position: this.#position, epoch: this.#epoch };
  }

  /** Resumes from a state over as many examples. @throws OnnxLoraError `FILE_INVALID` for a state that does not fit */
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
        `The saved order of examples does not belong to this data: it stands at example ${position} of ${length}. Resume with the data that it was saved with, or start over.`,
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

/**
 * A random order with as many indices as weights: of n examples, one of weight w occurs n · w / Σw times, randomly
 * rounded up or down. Examples of equal weight jointly occur that often, so that classes are balanced.
 * @see Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models" (1996): systematic
 *   resampling
 */
export function weightedOrder(random: Random, weights: readonly number[]): number[] {
  const length = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // Shuffled among equals, so that each may be rounded up.
  const order = random.permutation(length).sort((a, b) => weights[a]! - weights[b]!);
  const offset = random.next();
  const drawn: number[] = [];
  let reached = 0;
  for (const index of order) {
    reached += (length * weights[index]!) / total;
    while (drawn.length < length && drawn.length + offset < reached) drawn.push(index);
  }
  // Rounding errors may leave the sum short of the length.
  while (drawn.length < length) drawn.push(order.at(-1)!);
  return random.permutation(length).map((at) => drawn[at]!);
}

/** Validates weights: one per example, none below 0, and one above. @throws OnnxLoraError `CONFIG_INVALID` */
export function checkedWeights(weights: readonly number[], length: number, name: string): readonly number[] {
  if (weights.length !== length) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${name} has ${weights.length} weights, but there are ${length} examples to train on. Give one for each.`,
    );
  }
  const wrong = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (wrong >= 0 || !weights.some((weight) => weight > 0)) {
    const problem = wrong >= 0 ? `the weight ${weights[wrong]} for example ${wrong}` : 'no weight above 0';
    throw new OnnxLoraError('CONFIG_INVALID', `${name} has ${problem}. Weights are numbers of at least 0, not all 0.`);
  }
  return weights;
}

/** Maximum number of batches sorted together. */
const MOST_BATCHES = 50;
/** Minimum number of sorted chunks per epoch, if it has as many batches: otherwise every epoch would be alike. */
const FEWEST_PIECES = 4;

/**
 * A random permutation in chunks of up to 50 batches, sorted by falling length, so that batches have similar lengths.
 * The longest example comes first, to detect a lack of memory at once.
 * @see transformers' `LengthGroupedSampler` (`get_length_grouped_indices` in trainer_pt_utils.py)
 */
export function lengthOrder(random: Random, lengths: readonly number[], batchSize: number): number[] {
  const batches = Math.min(Math.floor(lengths.length / (batchSize * FEWEST_PIECES)), MOST_BATCHES);
  const size = Math.max(1, batches) * batchSize;
  const order = random.permutation(lengths.length);
  for (let start = 0; start < order.length; start += size) {
    const piece = order.slice(start, start + size).sort((a, b) => lengths[b]! - lengths[a]!);
    piece.forEach((index, i) => (order[start + i] = index));
  }
  let longest = 0;
  for (let start = size; start < order.length; start += size)
    if (lengths[order[start]!]! > lengths[order[longest]!]!) longest = start;
  [order[0], order[longest]] = [order[longest]!, order[0]!];
  return order;
}
