/** @file The interface of a sequence domain: its reader, its names, its report sections. */

import type { ReportRequest, DomainSections, FoundAnswers } from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { PredictorInput, SettingRows, TaskFactory } from '@onnx-lora/sdk/plugin';
import type { SequenceBaselines } from './baselines/frozenBaselines.ts';
import type { SequenceData, SequenceRecord, StreamedRecord } from './record.ts';
import type { SequenceItem, SequenceTask } from './tasks/sequenceTask.ts';
import type { SequenceTokenizer } from './tokenizers/sequenceTokenizer.ts';

/** Target that a task needs of each record. */
export type TargetKind = 'label' | 'labels' | 'values';

/** A domain of sequences, such as texts. `Source` is a task's data (path or records), `Options` how to read it. */
export interface SequenceDomain<R extends SequenceRecord, Source, Options extends DivideOptions<R>> {
  /** Plural noun: `sequences`. */
  readonly noun: string;
  /** Singular noun, the prefix of the task names: `sequence` in `sequence-classification`. */
  readonly one: string;
  /** Pairs are asymmetric: the first is a query, the second its answer; false by default. */
  readonly asks?: boolean;
  /** Answers lie in the second of a pair, which is cut into windows, each behind the first; false by default. */
  readonly readsSecond?: boolean;
  /** The domain embeds sequences, so that sentence-transformers' files bound their length; false by default. */
  readonly embeds?: boolean;
  /** Tokens in mean pooling: `own` without special ones (default), or `all` as in sentence-transformers' training. */
  readonly meanOf?: 'own' | 'all';
  /** Ends the error for a model that reads no tokens: `Use the encoder of a model of proteins.` */
  readonly remedy: string;
  /** Settings of the reader. */
  readonly settings: SettingRows<Options>;
  /** Training defaults of the domain's tasks. */
  readonly defaults: NonNullable<TaskFactory['defaults']>;
  /** Input of predictors. */
  readonly input: PredictorInput;
  /**
   * Reads and splits data; every record must have the target `wanted`.
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, row, column and remedy
   */
  read(source: Source, options: Options, wanted?: TargetKind): Promise<SequenceData<R>>;
  /**
   * Streams the records of a file of any size, or of bytes such as standard input, in order.
   * @throws OnnxLoraError like {@link SequenceDomain.read}
   */
  stream(source: string | AsyncIterable<Uint8Array>, options: Partial<Options>): AsyncIterable<StreamedRecord<R>>;
  /** Baselines on raw sequences; by default ridge on letters, for variants of one length. */
  readonly baselines?: SequenceBaselines;
  /** Lexical search, which the retrieval report compares with the adapter. */
  readonly search?: {
    /** Name: `BM25`. */
    readonly name: string;
    /** Indexes documents; the result scores each document for a query. */
    readonly index: (documents: readonly string[]) => (query: string) => Float64Array;
  };
  /** Warnings about records that a model can hardly represent. */
  unfit?(tokenizer: SequenceTokenizer, records: readonly R[]): readonly string[];
  /** Report sections besides those of all sequences. */
  sections?<Target>(
    found: FoundAnswers<SequenceItem<R>, R, Target>,
    request: ReportRequest,
    task: SequenceTask<R>,
  ): Promise<DomainSections>;
}
