/** @file Preferences as pairs of rows, and a dataset of them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import {
  answered,
  preferenceKey,
  type PreferenceRecord,
  promptKey,
  type TextOrMessages,
} from '../../data/readPreferences.ts';
import { feedsOfRow, type CompactRow, singleRow, type SftRow, type SftRules } from '../chat/sftRows.ts';

/** A pair of rows. */
export interface PreferenceExample {
  /** The chosen and the rejected answer; for KTO the answer, and one to another prompt. */
  readonly rows: readonly SftRow[];
  /** The reference's log-probability of each row; NaN until computed. */
  readonly reference: readonly number[];
  /** Whether the answer is good; true for a pair of answers. */
  readonly isGood: boolean;
  /** In training, the number of examples drawn before. */
  readonly draw?: number;
}

interface KeptExample {
  readonly record: PreferenceRecord;
  readonly rows: readonly CompactRow[];
  readonly isGood: boolean;
}

/** Pairs of rows, the same in every epoch. */
export class PreferenceDataset implements Dataset<PreferenceExample> {
  /** Tokens per example, padding of its rows included. */
  readonly lengths: readonly number[];
  readonly warnings: readonly string[];
  readonly #examples: readonly KeptExample[];
  readonly #reference: Float64Array;

  /**
   * @param isPaired whether to compare a record's two answers; KTO learns each answer by itself
   * @throws OnnxLoraError `DATA_INVALID` for records that do not fit the loss, no record with learned tokens, and with
   * KTO a single prompt; as the template
   */
  constructor(records: readonly PreferenceRecord[], rules: SftRules, isPaired: boolean) {
    const given = isPaired ? records.map(compared) : unpaired(records);
    const made = given.map(({ record, said, isGood }) => ({
      record,
      isGood,
      rows: said.map(([of, answer]) => singleRow(answered(of, answer), rules)),
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
        `There is nothing to compare: none of the ${records.length} preferences has two answers with learned tokens, such as ${records[0]!.where}. Give answers of the assistant.`,
      );
    }
    this.warnings =
      lost.length === 0
        ? []
        : [`${lost.length} of ${made.length} preferences have an answer without learned tokens, and are left out, such as ${lost[0]!.record.where}.`]; // prettier-ignore
  }

  get length(): number {
    return this.#examples.length;
  }

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
      rows: kept.rows.map(feedsOfRow),
      reference: Array.from(this.#reference.subarray(2 * index, 2 * index + 2)),
      isGood: kept.isGood,
      ...(draw === undefined ? {} : { draw }),
    });
  }
}

/** A pair of answers, each with the record of its prompt. */
interface Sides {
  readonly record: PreferenceRecord;
  readonly said: readonly (readonly [to: PreferenceRecord, answer: TextOrMessages])[];
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

/** Pairs each answer with the answer to the next different prompt. */
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

/** For each key the index of the next different one, cyclically; undefined if all are equal. */
function nextOther(keys: readonly string[]): readonly (number | undefined)[] {
  const { length } = keys;
  const next: (number | undefined)[] = Array.from({ length });
  // Two rounds, so that the last keys know about the first.
  for (let i = 2 * length - 2; i >= 0; i--) {
    const [at, after] = [i % length, (i + 1) % length];
    next[at] = keys[after] === keys[at] ? next[after] : after;
  }
  return next;
}
