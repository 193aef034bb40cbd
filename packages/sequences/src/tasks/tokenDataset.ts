/** @file A dataset of token rows, with their targets. */

import { balancedWeights } from '@onnx-lora/sdk/tasks';
import { drawSeed, BoundedCache, Random } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../record.ts';
import type { SequenceDataset, SequenceExample, TokenRow } from './sequenceTask.ts';
import { type RecordTokens, type RowRules, tokenRows, tokensOf } from './tokenRows.ts';

/** Cache limit in bytes; other tokens are computed again. */
const CACHE_BYTES = 256e6;
const BYTES_PER_TOKEN = 8;

/** Options of a {@link TokenDataset}. */
export interface TokenDatasetOptions {
  readonly rules: RowRules;
  readonly seed: number;
  /** Whether long sequences are cropped at a random place per draw. */
  readonly isCroppedAtRandom: boolean;
}

/** An example per record, or per window of it. */
export class TokenDataset<Target, R extends SequenceRecord = SequenceRecord> implements SequenceDataset<Target, R> {
  readonly records: readonly R[];
  readonly targets: readonly Target[];
  readonly lengths: readonly number[];
  readonly recordOf: readonly number[];
  readonly isDeterministic: boolean;
  /** Record, window and number of windows of each example. */
  readonly #places: readonly (readonly [record: number, window: number, windows: number])[];
  readonly #options: TokenDatasetOptions;
  readonly #cache = new BoundedCache<number, RecordTokens>(
    CACHE_BYTES,
    ({ first, second }) => BYTES_PER_TOKEN * (first.length + (second?.length ?? 0)),
  );

  /**
   * `targets` has one per record.
   * @throws OnnxLoraError `DATA_INVALID`, naming a record that is too long, with `tooLong: error`
   */
  constructor(records: readonly R[], targets: readonly Target[], options: TokenDatasetOptions) {
    this.records = records;
    this.targets = targets;
    this.#options = options;
    const { rules, isCroppedAtRandom } = options;
    const rows = records.map((record) => {
      const tokens = tokensOf(rules.tokenizer, record);
      const own = tokenRows(tokens, record, rules);
      return {
        lengths: own.map(({ ids }) => ids.length),
        isCut: own.length === 1 && own[0]!.count < tokens.first.length,
      };
    });
    this.lengths = rows.flatMap(({ lengths }) => lengths);
    this.#places = rows.flatMap(({ lengths }, record) =>
      lengths.map((_, window) => [record, window, lengths.length] as const),
    );
    this.recordOf = this.#places.map(([record]) => record);
    this.isDeterministic = !isCroppedAtRandom || !rows.some(({ isCut }) => isCut);
  }

  get length(): number {
    return this.#places.length;
  }

  /** Class-balanced sampling weights; undefined without labels. */
  get weights(): readonly number[] | undefined {
    if (!this.records.some(({ labels }) => labels)) return undefined;
    const weights = balancedWeights(this.records.map(({ labels = [] }) => labels));
    return this.#places.map(([record]) => weights[record]!);
  }

  nameOf(index: number): string {
    const place = this.#places[index];
    return place ? this.records[place[0]]!.where : String(index);
  }

  async keyOf(index: number): Promise<string> {
    const { sequence, second } = this.records[this.#places[index]![0]]!;
    return Promise.resolve(JSON.stringify([sequence, second]));
  }

  async get(index: number, draw?: number): Promise<SequenceExample<Target, R>> {
    const place = this.#places[index];
    if (!place) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const [number, window, windows] = place;
    const record = this.records[number]!;
    const { rules } = this.#options;
    const tokens = await this.#cache.get(number, async () => tokensOf(rules.tokenizer, record));
    const rows: readonly TokenRow[] = tokenRows(tokens, record, rules, this.#start(draw));
    return {
      record,
      index: number,
      windows,
      row: rows[window]!,
      target: this.targets[number]!,
      ...(draw === undefined ? {} : { draw }),
    };
  }

  #start(draw: number | undefined): ((last: number) => number) | undefined {
    const { isCroppedAtRandom, seed } = this.#options;
    if (draw === undefined || !isCroppedAtRandom) return undefined;
    return (last) => new Random(drawSeed(seed, draw)).index(last + 1);
  }
}
