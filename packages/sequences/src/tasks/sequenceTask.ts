/** @file Types of sequence tasks: data, tokens, batches. */

import type { Feeds } from '@onnx-lora/sdk';
import type { TaskModel, Labelled, LabelledDataset } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequenceData, SequenceRecord } from '../record.ts';

/** Treatment of sequences longer than the model or {@link LengthOptions.maxLength}. */
export interface LengthOptions {
  /** Most tokens, special ones included; by default the limit of the model's files. */
  readonly maxLength?: number | undefined;
  /**
   * `crop` (the default) keeps the beginning, or in masked-language training a random part; `windows` reads overlapping
   * pieces and joins their answers; `error` refuses, naming the record.
   */
  readonly tooLong?: 'crop' | 'windows' | 'error' | undefined;
  /** Tokens that neighbouring windows share; a quarter of the window by default. */
  readonly overlap?: number | undefined;
}

/** Options of tokenizing. */
export interface TokenOptions extends LengthOptions {
  /** By default the tokenizer in the model's folder. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** Graph inputs of a sequence model. */
export interface SequencePorts {
  /** Input of token ids, int64 `[batch, tokens]`. */
  readonly ids: string;
  /** Input that is 1 for tokens and 0 for padding. */
  readonly mask?: string;
  /** Input that tells the two sequences of a pair apart. */
  readonly types?: string;
  /** Input of position ids. */
  readonly positions?: string;
  /** The graph's number of tokens, if it is fixed. */
  readonly length?: number;
}

/** A sequence, or a window of it, as the model's input. */
export interface TokenRow {
  /** Token ids with special tokens. */
  readonly ids: readonly number[];
  /** 0 for the first sequence and its special tokens, 1 for the second; as long as `ids`. */
  readonly types: readonly number[];
  /** Index in `ids` of the sequence's first token; for pairs with answers in the second, of that one. */
  readonly at: number;
  /** Number of the sequence's tokens in the row, from `at` on. */
  readonly count: number;
  /** Index of the row's first token within the whole sequence: the start of the window. */
  readonly from: number;
}

/** A sequence, or a window of it, as an example. */
export interface SequenceItem<R extends SequenceRecord = SequenceRecord> {
  /** The sequence and its targets. */
  readonly record: R;
  /** Index of the record in its dataset, shared by its windows. */
  readonly index: number;
  /** Number of windows of the record; 1 by default. */
  readonly windows: number;
  /** Tokens of the example. */
  readonly row: TokenRow;
}

/** An example with its target. */
export type SequenceExample<Target, R extends SequenceRecord = SequenceRecord> = Labelled<SequenceItem<R>, Target>;

/** A dataset of sequences: an example per record, or per window. */
export interface SequenceDataset<Target, R extends SequenceRecord = SequenceRecord> extends LabelledDataset<
  SequenceItem<R>,
  Target,
  R
> {
  /** Tokens of each example, special ones included. */
  readonly lengths: readonly number[];
  /** Record index of each example. */
  readonly recordOf: readonly number[];
  keyOf(index: number): Promise<string>;
}

/** The data of a task, and how its sequences become feeds. */
export interface SequenceTask<R extends SequenceRecord = SequenceRecord> {
  /** The model to adapt. */
  readonly model: TaskModel;
  /** Training, validation and test records. */
  readonly data: SequenceData<R>;
  /** The model's tokenizer. */
  readonly tokenizer: SequenceTokenizer;
  /** The model's inputs. */
  readonly ports: SequencePorts;
  /** The user's options of tokenizing. */
  readonly options: TokenOptions;
  /** Makes a dataset; `isCroppedAtRandom` crops long sequences at a random place per draw. */
  dataset<Target>(
    records: readonly R[],
    targets: readonly Target[],
    options?: { readonly isTrained?: boolean; readonly isCroppedAtRandom?: boolean },
  ): SequenceDataset<Target, R>;
  /** Feeds int64 `[batch, tokens]`, padded to the longest row; in training to few lengths, as each takes a graph. */
  feeds(rows: readonly TokenRow[], isTrained: boolean): Feeds;
}
