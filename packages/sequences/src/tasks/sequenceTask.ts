/** @file Common part of sequence tasks: data, tokens, batches. */

import type { Feeds } from '@onnx-lora/sdk';
import type { TaskModel, Labelled, LabelledDataset } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequenceData, SequenceRecord } from '../record.ts';

/** What becomes of sequences that are longer than the model, or than {@link LengthOptions.maxLength}. */
export interface LengthOptions {
  /** Most tokens, special ones included; by default what the model's files say. */
  readonly maxLength?: number | undefined;
  /**
   * `crop` (the default) takes the beginning, and in training of masked tokens a part at random; `windows` takes all of it in
   * pieces that overlap, whose answers are put together; `error` refuses, naming the record.
   */
  readonly tooLong?: 'crop' | 'windows' | 'error' | undefined;
  /** Tokens that neighbouring windows share; a quarter of the window by default. */
  readonly overlap?: number | undefined;
}

/** How sequences become tokens. */
export interface TokenOptions extends LengthOptions {
  /** The tokenizer of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** Inputs of a model of sequences. */
export interface SequencePorts {
  /** The input of token ids, int64 `[batch, tokens]`. */
  readonly ids: string;
  /** The input that is 1 for tokens and 0 for padding. */
  readonly mask?: string;
  /** The input that tells the two sequences of a pair apart. */
  readonly types?: string;
  /** The input of the tokens' positions. */
  readonly positions?: string;
  /** The number of tokens that the graph is written for, where it is fixed. */
  readonly length?: number;
}

/** A sequence, or a window of it, as it is fed. */
export interface TokenRow {
  /** Special tokens included. */
  readonly ids: readonly number[];
  /** 0 for the first sequence and its special tokens, 1 for the second; as long as `ids`. */
  readonly types: readonly number[];
  /** Place of the first token of the sequence in `ids`; of the second of a pair where answers stand in that. */
  readonly at: number;
  /** How many tokens of the sequence are in the row, from `at` on. */
  readonly count: number;
  /** Number of that token in the whole sequence, from 0: where the window begins. */
  readonly from: number;
}

/** A sequence, or a window of it, as an example. */
export interface SequenceItem<R extends SequenceRecord = SequenceRecord> {
  /** The sequence and what is known of it. */
  readonly record: R;
  /** Number of the record in its dataset: windows of one record share it. */
  readonly index: number;
  /** Of how many windows of the record this is one; 1 by default. */
  readonly windows: number;
  /** Its tokens. */
  readonly row: TokenRow;
}

/** One example, with what is to be predicted. */
export type SequenceExample<Target, R extends SequenceRecord = SequenceRecord> = Labelled<SequenceItem<R>, Target>;

/** A dataset of sequences: an example per record, or per window. */
export interface SequenceDataset<Target, R extends SequenceRecord = SequenceRecord> extends LabelledDataset<
  SequenceItem<R>,
  Target,
  R
> {
  /** Tokens of each example, special ones included. */
  readonly lengths: readonly number[];
  /** Number of each example's record. */
  readonly recordOf: readonly number[];
  keyOf(index: number): Promise<string>;
}

/** The data of a task, and how its sequences become feeds. */
export interface SequenceTask<R extends SequenceRecord = SequenceRecord> {
  /** The model that is adapted. */
  readonly model: TaskModel;
  /** Records to train on and to measure on. */
  readonly data: SequenceData<R>;
  /** The model's tokenizer. */
  readonly tokenizer: SequenceTokenizer;
  /** The model's inputs. */
  readonly ports: SequencePorts;
  /** How sequences become tokens, as the user wants it. */
  readonly options: TokenOptions;
  /**
   * A dataset of records to be trained on or measured on; `target` is what is known of each.
   * @param options with `isCroppedAtRandom` a too long sequence is cropped at a place that each draw chooses anew
   */
  dataset<Target>(
    records: readonly R[],
    targets: readonly Target[],
    options?: { readonly isTrained?: boolean; readonly isCroppedAtRandom?: boolean },
  ): SequenceDataset<Target, R>;
  /**
   * Feeds of rows, padded to the longest of them: `input_ids`, `attention_mask` and `token_type_ids` where the graph takes
   * them, int64 `[batch, tokens]`. Rows that are trained on are padded to lengths that return, since each takes a graph of its
   * own.
   */
  feeds(rows: readonly TokenRow[], isTrained: boolean): Feeds;
}
