/** @file Preferences as pairs of rows, and a dataset of them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import { answered, preferenceKey, type PreferenceRecord, promptKey, type Said } from '../../data/readPreferences.ts';
import { fedRow, type KeptRow, oneRowOf, type SftRow, type SftRules } from '../chat/sftRows.ts';

/** Two rows that are compared. */
export interface PreferenceExample {
  /** The chosen answer and the rejected one; of KTO the answer, and one to another prompt. */
  readonly rows: readonly SftRow[];
  /** The reference's log-probability of each row; NaN until computed. */
  readonly reference: readonly number[];
  /** Whether the answer is good; true where two are compared. */
  readonly isGood: boolean;
  /** In training, how many examples were drawn before. */
  readonly draw?: number;
}

/** An example as it is kept. */
interface KeptExample {
  readonly record: PreferenceRecord;
  readonly rows: readonly KeptRow[];
  readonly isGood: boolean;
}

/** Pairs of rows, made once: each means the same whenever it is drawn. */
export class PreferenceDataset implements Dataset<PreferenceExample> {
  /** Of each example, what its rows take in a batch. */
  readonly lengths: readonly number[];
  /** Warnings for the user. */
  readonly warnings: readonly string[];
  readonly #examples: readonly KeptExample[];
  /** Of each row. */
  readonly #reference: Float64Array;

  /**
   * @param isPaired false for answers that are good or bad by themselves, as KTO learns; of two that are compared, each is then
   *   an example
   * @throws OnnxLoraError `DATA_INVALID` for records that do not fit the loss, of which nothing is learned, and without another
   *   prompt; as the template
   */
  constructor(records: readonly PreferenceRecord[], rules: SftRules, isPaired: boolean) {
    const given = isPaired ? records.map(compared) : unpaired(records);
    const made = given.map(({ record, said, isGood }) => ({
      record,
      isGood,
      rows: said.map(([of, answer]) => oneRowOf(answered(of, answer), rules)),
    }));
    this.#examples = made.flatMap(({ record, isGood, rows }) => {
      const whole = rows.filter((row) => row !== undefined);
      return whole.length < rows.length ? [] : [{ record, isGood, rows: whole }];
    });
    this.#reference = new Float64Array(2 * this.#examples.length).fill(NaN);
    this.lengths = this.#examples.map(({ rows }) => 2 * Math.max(...rows.map(({ ids }) => ids.length)));
    const lost = made.filter(({ rows }) => rows.includes(undefined));
    if (records.length > 0 && this.#examples.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `There is nothing to compare: none of the ${records.length} preferences has two answers of which something is learned, such as ${records[0]!.where}. Give answers of the assistant.`,
      );
    }
    this.warnings =
      lost.length === 0
        ? []
        : [`${lost.length} of ${made.length} preferences have an answer of which nothing is learned, and are left out, such as ${lost[0]!.record.where}.`]; // prettier-ignore
  }

  get length(): number {
    return this.#examples.length;
  }

  /** Sets the reference's log-probabilities of an example's rows. */
  setReference(index: number, said: readonly number[]): void {
    this.#reference.set(said, 2 * index);
  }

  nameOf(index: number): string {
    return this.#examples[index]?.record.where ?? String(index);
  }

  keyOf(index: number): Promise<string> {
    const { record, isGood } = this.#examples[index]!;
    return Promise.resolve(`${preferenceKey(record)}${isGood}`);
  }

  get(index: number, draw?: number): Promise<PreferenceExample> {
    const kept = this.#examples[index];
    if (!kept) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    return Promise.resolve({
      rows: kept.rows.map(fedRow),
      reference: Array.from(this.#reference.subarray(2 * index, 2 * index + 2)),
      isGood: kept.isGood,
      ...(draw === undefined ? {} : { draw }),
    });
  }
}

/** Answers that stand beside each other, each with the record whose prompt it is given to. */
interface Sides {
  readonly record: PreferenceRecord;
  readonly said: readonly (readonly [to: PreferenceRecord, answer: Said])[];
  readonly isGood: boolean;
}

function compared(record: PreferenceRecord): Sides {
  const { answers, where } = record;
  if (answers.length === 2) return { record, said: answers.map((answer) => [record, answer] as const), isGood: true };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: an answer with a label has no other to be compared with, as this loss does. Take the loss kto (--set loss=kto), or give chosen and rejected answers.`,
  );
}

/** Each answer by itself, and beside it the answer to the next prompt that is another. */
function unpaired(records: readonly PreferenceRecord[]): Sides[] {
  const single = records.flatMap((record) =>
    record.answers.map((answer, i) => ({ record, answer, isGood: record.isGood ?? i === 0 })),
  );
  const other = nextOther(single.map(({ record }) => promptKey(record)));
  return single.map(({ record, answer, isGood }, i) => {
    const another = single[other[i] ?? -1];
    if (another && typeof another.answer === typeof record.prompt)
      return { record, isGood, said: [[record, answer] as const, [record, another.answer] as const] };
    throw new OnnxLoraError(
      'DATA_INVALID',
      another
        ? `${record.where} and ${another.record.where}: one is a text and one is messages. KTO takes all as texts, or all as messages.`
        : `${record.where}: all answers are to one prompt, and KTO measures with answers to others how far the model goes. Add other prompts.`,
    );
  });
}

/** Of each key the place of the next that is another, round and round; undefined where there is none. */
function nextOther(keys: readonly string[]): readonly (number | undefined)[] {
  const { length } = keys;
  const next: (number | undefined)[] = Array.from({ length });
  // Twice round, so that the last ones know of the first.
  for (let i = 2 * length - 2; i >= 0; i--) {
    const [at, after] = [i % length, (i + 1) % length];
    next[at] = keys[after] === keys[at] ? next[after] : after;
  }
  return next;
}
