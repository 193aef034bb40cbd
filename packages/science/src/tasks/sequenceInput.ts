/** @file What turns sequences into what a model is fed, whatever the task. */

import { type Feeds, rung, type TaskModel } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import { openTokenizer } from '../tokenizers/openTokenizer.ts';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import { maxTokens } from './maxTokens.ts';
import { sequenceFeeds } from './sequenceFeeds.ts';
import { sequencePorts } from './sequencePorts.ts';
import type { LengthOptions, SequencePorts, TokenRow } from './sequenceTask.ts';
import { type RowRules, tokenRows, tokensOf } from './tokenRows.ts';

/** Tokens that lengths of rows that are trained on are counted in. */
const UNIT = 8;

/** A model's tokenizer and inputs. */
export interface SequenceInput {
  readonly tokenizer: SequenceTokenizer;
  readonly ports: SequencePorts;
  /** How records become rows. */
  readonly rules: RowRules;
  /** The rows of a record: one, or its windows. */
  readonly rows: (record: SequenceRecord) => readonly TokenRow[];
  /**
   * Feeds of rows, padded to the longest, or to the graph's length.
   *
   * @param most of rows that are trained on, which are padded to lengths that return: the longest that there will be
   */
  readonly feeds: (rows: readonly TokenRow[], most?: number) => Feeds;
}

/**
 * What feeds a model of sequences, by its tokenizer's files.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not read tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the
 *   tokenizer
 */
export async function openSequenceInput(
  model: TaskModel,
  {
    tokenizer: given,
    maxLength,
    tooLong,
    overlap,
  }: LengthOptions & { readonly tokenizer?: SequenceTokenizer | undefined },
): Promise<SequenceInput> {
  const ports = sequencePorts(model);
  const tokenizer = given ?? (await openTokenizer(model));
  const rules: RowRules = { tokenizer, most: maxTokens(model, tokenizer, ports, maxLength), tooLong, overlap };
  return {
    tokenizer,
    ports,
    rules,
    rows: (record) => tokenRows(tokensOf(tokenizer, record), record, rules),
    feeds: (rows, most) => {
      const longest = rows.reduce((max, { ids }) => Math.max(max, ids.length), 0);
      // What is not told what is padding gets no more of it than it must.
      const padded =
        most === undefined || ports.mask === undefined
          ? longest
          : Math.max(longest, Math.min(rung(longest, UNIT), most));
      return sequenceFeeds(model, ports, rows, { length: ports.length ?? padded, padId: tokenizer.padId });
    },
  };
}
