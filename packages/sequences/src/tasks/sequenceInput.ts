/** @file Tokenizer, graph inputs and feeds of a model of sequences. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { bucketLength, describedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { openTokenizer } from '../tokenizers/openTokenizer.ts';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequenceDomain } from '../domain.ts';
import type { SequenceRecord } from '../record.ts';
import { maxTokens, positionOffset, sentenceTokens } from './maxTokens.ts';
import type { SequencePorts, TokenOptions, TokenRow } from './sequenceTask.ts';
import { type RowRules, tokenRows, tokensOf } from './tokenRows.ts';

/**
 * Feeds of a batch, integers `[batch, length]`: ids and, if the graph has them, mask, types and positions. Position ids
 * are transformers': from 0, or for RoBERTa and ESM from the one after the padding's.
 * @throws OnnxLoraError `INPUT_INVALID` for a number of rows other than the graph's
 */
function sequenceFeeds(
  model: TaskModel,
  ports: SequencePorts,
  rows: readonly TokenRow[],
  { length, padId }: { readonly length: number; readonly padId: number },
): Feeds {
  const batch = model.inputs[ports.ids]!.dims?.[0];
  if (rows.length === 0 || (typeof batch === 'number' && batch !== rows.length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      rows.length === 0
        ? 'A batch needs at least one sequence.'
        : `"${model.name}" takes batches of exactly ${batch}, but this one has ${rows.length} sequences. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
    );
  }
  const feeds: Record<string, Tensor> = {};
  const fill = (name: string | undefined, value: (row: TokenRow, i: number) => number, padding: number): void => {
    if (name === undefined) return;
    const numbers = rows.flatMap((row) =>
      Array.from({ length }, (_, i) => (i < row.ids.length ? value(row, i) : padding)),
    );
    const dims = [rows.length, length];
    const isShort = model.inputs[name]!.type === 'int32';
    feeds[name] = isShort ? { type: 'int32', dims, data: Int32Array.from(numbers) } : int64(numbers, dims);
  };
  const offset = positionOffset(model);
  fill(ports.ids, (row, i) => row.ids[i]!, padId);
  fill(ports.mask, () => 1, 0);
  fill(ports.types, (row, i) => row.types[i]!, 0);
  fill(ports.positions, (_, i) => offset + i, offset === 0 ? 0 : offset - 1);
  return feeds;
}

/** Domain properties that feeding needs: nouns for errors, and how pairs and embeddings are read. */
export type SequenceNames = Pick<
  SequenceDomain<never, never, never>,
  'noun' | 'one' | 'remedy' | 'meanOf' | 'readsSecond' | 'embeds'
>;

/** Optional inputs by role. */
const others = { mask: 'attention_mask', types: 'token_type_ids', positions: 'position_ids' } as const;

/**
 * The inputs of a model that reads token ids: `input_ids`, or its only other integer input `[batch, tokens]`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with the graph's inputs
 */
export function sequencePorts(model: TaskModel, { noun, remedy }: SequenceNames): SequencePorts {
  const known = new Set<string>(Object.values(others));
  const rest = Object.keys(model.inputs).filter((name) => !known.has(name));
  const [ids] = rest;
  const wrong = Object.entries(model.inputs).find(([, { type }]) => type !== 'int64' && type !== 'int32');
  const rank = ids === undefined ? undefined : model.inputs[ids]!.dims?.length;
  if (ids === undefined || rest.length > 1 || wrong || (rank !== undefined && rank !== 2)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not read ${noun} alone: that is one input of token ids, int64 "input_ids" [batch, tokens], perhaps with ${Object.values(others).join(', ')}, but its inputs are ${describedPorts(model.inputs)}. ${remedy}`,
    );
  }
  const length = model.inputs[ids]!.dims?.[1];
  return {
    ids,
    ...Object.fromEntries(Object.entries(others).filter(([, name]) => Object.hasOwn(model.inputs, name))),
    ...(typeof length === 'number' && { length }),
  };
}

/** Smallest step of the padded lengths in training, in tokens. */
export const UNIT = 2;

/** A model's tokenizer and inputs. */
export interface SequenceInput {
  /** Tokenizer of the model. */
  readonly tokenizer: SequenceTokenizer;
  /** Inputs of the graph. */
  readonly ports: SequencePorts;
  /** Rules that cut records into rows. */
  readonly rules: RowRules;
  /** The rows of a record: one, or its windows. */
  readonly rows: (record: SequenceRecord) => readonly TokenRow[];
  /**
   * Feeds of rows, padded to the longest, or to the graph's fixed length.
   * @param most longest training row; then lengths are rounded up to few different ones
   * @param group lengths above it become multiples of it; 1 by default
   */
  readonly feeds: (rows: readonly TokenRow[], most?: number, group?: number) => Feeds;
}

/**
 * Opens the tokenizer and inputs of a model.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without token ids; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the
 * tokenizer
 */
export async function openSequenceInput(
  model: TaskModel,
  { tokenizer: given, maxLength, tooLong, overlap }: TokenOptions,
  names: SequenceNames,
): Promise<SequenceInput> {
  const ports = sequencePorts(model, names);
  const tokenizer = given ?? (await openTokenizer(model));
  const most = maxTokens(model, tokenizer, ports, maxLength);
  const usual = names.embeds ? await sentenceTokens(model, tokenizer) : Infinity;
  const rules: RowRules = {
    tokenizer,
    most: maxLength === undefined ? Math.min(most, usual) : most,
    tooLong,
    overlap,
    readsSecond: names.readsSecond,
  };
  return {
    tokenizer,
    ports,
    rules,
    rows: (record) => tokenRows(tokensOf(tokenizer, record), record, rules),
    feeds: (rows, most, group = 1) => {
      const longest = rows.reduce((max, { ids }) => Math.max(max, ids.length), 0);
      // Models without a mask get as little padding as possible.
      const padded =
        most === undefined || ports.mask === undefined
          ? longest
          : Math.max(longest, Math.min(bucketLength(longest, UNIT), most));
      const length = ports.length ?? (padded > group ? group * Math.ceil(padded / group) : padded);
      return sequenceFeeds(model, ports, rows, { length, padId: tokenizer.padId });
    },
  };
}
