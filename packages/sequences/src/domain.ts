/** @file The interface of a sequence domain: its reader, its names, its report sections. */

import type { ReportRequest, DomainSections, FoundAnswers } from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { PredictorInput, SettingRows, TaskFactory } from '@onnx-lora/sdk/plugin';
import type { SequenceBaselines } from './baselines/frozenBaselines.ts';
import type { SequenceData, SequenceRecord, StreamedRecord } from './record.ts';
import type { SequenceItem, SequenceTask } from './tasks/sequenceTask.ts';
import type { SequenceTokenizer } from './tokenizers/sequenceTokenizer.ts';

/** What a task is to learn of each record. */
export type Wanted = 'label' | 'labels' | 'values';

/**
 * Proteins and molecules are a domain of sequences, texts are another. `Source` is what a task is given (a path, or records of the
 * user's own), `Options` how it is read.
 */
export interface SequenceDomain<R extends SequenceRecord, Source, Options extends DivideOptions<R>> {
  /** What they are called, in the plural: `sequences`. */
  readonly noun: string;
  /** One of them, which names of tasks begin with: `sequence`, of `sequence-classification`. */
  readonly one: string;
  /** Of pairs, whether the first looks for the second, as a question for its answer, and not the other way round; no by default. */
  readonly asks?: boolean;
  /** Whether answers stand in the second of a pair, whose rows are then windows of that behind the first; no by default. */
  readonly readsSecond?: boolean;
  /**
   * Whether a vector is made of each, so that what sentence-transformers wrote beside the model says how long one may be; no by
   * default.
   */
  readonly embeds?: boolean;
  /** Which tokens embeddings are the mean of: `own`, without special ones (the default), or `all`, as sentence-transformers' models are trained. */
  readonly meanOf?: 'own' | 'all';
  /** What to read where a model does not read tokens, at the end of an error: `Use the encoder of a model of proteins.` */
  readonly remedy: string;
  /** Settings of how data are read. */
  readonly settings: SettingRows<Options>;
  /** How tasks that answer about them are trained where nothing else is said. */
  readonly defaults: NonNullable<TaskFactory['defaults']>;
  /** What predictors are asked about. */
  readonly input: PredictorInput;
  /**
   * Reads data, and divides them.
   * @param wanted what every record must have
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, row, column and remedy
   */
  read(source: Source, options: Options, wanted?: Wanted): Promise<SequenceData<R>>;
  /**
   * The records of a file of any size, or of bytes such as those of standard input, in their order.
   * @throws OnnxLoraError as {@link SequenceDomain.read}
   */
  stream(source: string | AsyncIterable<Uint8Array>, options: Partial<Options>): AsyncIterable<StreamedRecord<R>>;
  /** What LoRA is compared with that looks at the sequences and no model; by default ridge on letters, for variants of one length. */
  readonly baselines?: SequenceBaselines;
  /** A search by the letters or words alone, which the report of retrieval has beside the adapter: how well each document fits a query. */
  readonly search?: {
    /** What it is called: `BM25`. */
    readonly name: string;
    /** Takes in what is searched. */
    readonly index: (documents: readonly string[]) => (query: string) => Float64Array;
  };
  /** Warnings about records of which a model can make little. */
  unfit?(tokenizer: SequenceTokenizer, records: readonly R[]): readonly string[];
  /** What the report shows beside what it shows of all sequences. */
  sections?<Target>(
    found: FoundAnswers<SequenceItem<R>, R, Target>,
    request: ReportRequest,
    task: SequenceTask<R>,
  ): Promise<DomainSections>;
}
