/** @file The contract of predictors: answers of a model about unlabelled files. */

import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { ReportSection } from './reportSection.ts';

/**
 * The prediction for one example: `{ label: '7', score: 0.98 }`. The command line prints its strings and numbers, or
 * only its `text` if it has one; `--json` and the file of `--out` have everything. A `Uint8Array` holds the bytes of
 * a PNG, such as a mask, which the command line writes into the folder of `--out`.
 */
export type Prediction = Readonly<Record<string, unknown>>;

/** An input of a predictor: the path of a file, or a stream of bytes, such as standard input. */
export type Source = string | AsyncIterable<Uint8Array>;

/** One answer of a {@link Predictor}. */
export interface Answer<Said = Prediction> {
  /** Index of the source, from 0. */
  readonly source: number;
  /** The prediction. For a record of a file it starts with the record's id: `{ id: 'sp|P69905|HBA_HUMAN', … }`. */
  readonly prediction: Said;
  /** True for a partial answer, see {@link PredictOptions.parts}. */
  readonly isPart?: boolean;
  /** For a finished generation: tokens of the prompt (`asked`) and of the answer (`written`). */
  readonly tokens?: { readonly asked: number; readonly written: number };
  /** Bytes of the source read so far, where known. */
  readonly read?: number;
  /** Bytes of the source; absent for a stream. */
  readonly total?: number;
}

/** Options of {@link Predictor.predict}. */
export interface PredictOptions {
  /** Adapter for all sources or each, of {@link Predictor.adapters}, or null for the base. Default: the predictor's. */
  readonly adapter?: string | null | ((source: Source) => string | null);
  /** Largest number of examples per run; the predictor chooses by default. */
  readonly batchSize?: number;
  /** Number of existing answers to skip; runs that give only those are not computed. 0 by default. */
  readonly skip?: number;
  /** Yields partial answers too, such as the segments of a long recording; false by default. */
  readonly parts?: boolean;
  /** Called for an unreadable source, whose remaining answers are skipped. Without it, the error ends the iteration. */
  readonly onBadSource?: (source: number, error: unknown) => void;
  /** Ends the iteration before the next batch. */
  readonly signal?: AbortSignal;
}

/** A loaded model that answers about files. */
export interface Predictor<Said = Prediction> extends AsyncDisposable {
  /** Names for {@link PredictOptions.adapter}; absent where there is no choice. */
  readonly adapters?: readonly string[];
  /**
   * Yields answers in the order of the sources and of their records, each as soon as it is ready. Sources are pulled on
   * demand, memory holds a bounded number of examples, and results are deterministic.
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file or record that cannot be read
   */
  predict(sources: Iterable<Source> | AsyncIterable<Source>, options?: PredictOptions): AsyncIterable<Answer<Said>>;
  /** A writer for a format of the task, such as `.npz`; undefined for paths with other endings. */
  writer?(path: string): AnswerWriter | undefined;
  /** File endings that {@link Predictor.writer} supports. */
  readonly writerEndings?: readonly string[];
  /** Report sections about all answers so far, such as a heat map. */
  sections?(): readonly ReportSection[];
  /** Frees the model. */
  release(): Promise<void>;
  /** As {@link Predictor.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Writes answers to a file, which appears on `finish`. */
export interface AnswerWriter {
  /** Adds an answer. */
  write(prediction: Prediction): Promise<void>;
  /** Completes the file. */
  finish(): Promise<void>;
  /** Discards the file. */
  abort(): Promise<void>;
}

/** Preprocessing and decoding of a model that answers in one pass, for `filePredictor` or a program's own session. */
export interface Processor {
  /** Values inside the graph that it reads besides the graph's outputs, for `model.withOutputs`. */
  readonly outputs?: readonly string[];
  /** Feeds of one batch, one row per file. */
  feeds(files: readonly string[]): Promise<Feeds>;
  /** Predictions of one batch, one per row; `inputs` are the feeds that `feeds` made. */
  decode(outputs: Outputs, inputs: Feeds): Prediction[];
}

/** A processor that decodes from outputs alone, such as a classifier's. */
export interface OutputProcessor extends Processor {
  /** Predictions of one batch, one per row. */
  decode(outputs: Outputs): Prediction[];
}

/** Tensors by the names of the model's outputs. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** A record of a source, such as a sequence of a FASTA file. */
export interface SourceRecord<Item> {
  /** The record itself. */
  readonly item: Item;
  /** Bytes of the source read up to the record's end. */
  readonly read?: number;
  /** Bytes of the source; absent for a stream. */
  readonly total?: number | undefined;
}

/** A row of an item, with the decoded output. */
export interface AnsweredRow<Row, Found> {
  /** The row, as `rows` made it. */
  readonly row: Row;
  /** The decoded output. */
  readonly found: Found;
  /** The decoded output of each adapter of an ensemble; the first is `found`. */
  readonly members: readonly Found[];
}

/** Parts of a `recordPredictor`. `Found` is kept per row until all rows of the record are computed. */
export interface RecordProcessor<Item, Row, Found, From = Source> {
  /** Outputs to compute, including values inside the graph; all outputs of the model by default. */
  readonly outputs?: readonly string[];
  /** Reads a source by record; batches end with it. Without it, a source is one item, and batches span several. */
  records?(source: From): AsyncIterable<SourceRecord<Item>>;
  /** Loads a source that is one item, such as by decoding a recording; the source itself by default. */
  read?(source: From): Promise<Item>;
  /** The rows of an item, at least one. */
  rows(item: Item): readonly Row[];
  /** Number of answers about an item, if not one; {@link PredictOptions.skip} relies on it. */
  count?(item: Item): number;
  /** Lengths of rows, if they differ: rows of similar length are batched together. */
  readonly lengths?: {
    /** Length of a row in tokens. */
    of(row: Row): number;
    /** False if the model does not mask padding, so that rows of a batch must have the same length. */
    readonly isPadded: boolean;
  };
  /** Rows per batch; 32 by default. The user's `batchSize` overrides it. */
  readonly batchSize?: number;
  /** Batches to read ahead: by default 16 with `lengths`, else 1. Use fewer for large items or answers. */
  readonly lookAhead?: number;
  /** The feeds of these rows. */
  feeds(rows: readonly Row[]): Feeds | Promise<Feeds>;
  /** Decodes a batch, one result per row. */
  decode(outputs: Outputs, feeds: Feeds, rows: readonly Row[]): readonly Found[];
  /** The answers about an item from its rows, in order. */
  answers(item: Item, rows: readonly AnsweredRow<Row, Found>[]): readonly Prediction[];
}
