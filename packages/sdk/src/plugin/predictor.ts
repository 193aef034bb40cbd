/** @file The contract by which a model is asked about files that nobody has labelled: by a command, a program or a server. */

import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { ReportSection } from './reportSection.ts';

/**
 * What is said about one example: `{ label: '7', score: 0.98 }`. The command line prints its words and numbers, or where there
 * is a `text` only that; `--json` and the file of `--out` have all of it. A value that is a `Uint8Array` is the bytes of a PNG
 * file, such as a mask, which the command line writes into the folder of `--out`.
 */
export type Prediction = Readonly<Record<string, unknown>>;

/** What a model is asked about: the path of a file, or the bytes of one as they come, such as those of standard input. */
export type Source = string | AsyncIterable<Uint8Array>;

/** One thing that a {@link Predictor} says. */
export interface Answer<Said = Prediction> {
  /** Number of the source, from 0, in the order in which the sources were given. */
  readonly source: number;
  /** What is said. About a record of a file it begins with what the record is called: `{ id: 'sp|P69905|HBA_HUMAN', … }`. */
  readonly prediction: Said;
  /** True for a piece of an answer that is still to come, see {@link PredictOptions.parts}. */
  readonly isPart?: boolean;
  /** Of an answer that is written whole by now: tokens of what was asked, and tokens that were written. */
  readonly tokens?: { readonly asked: number; readonly written: number };
  /** Bytes of the source that were read, as far as it is known. */
  readonly read?: number;
  /** Bytes of the source; absent where it has no end yet. */
  readonly total?: number;
}

/** Options of {@link Predictor.predict}. */
export interface PredictOptions {
  /**
   * Which of {@link Predictor.adapters} answers, for all sources or for each; null is the base alone. By default the adapter that
   * the predictor was opened with.
   */
  readonly adapter?: string | null | ((source: Source) => string | null);
  /** Most examples that are computed at once; the predictor's own choice by default. */
  readonly batchSize?: number;
  /** Answers that are there already: so many are left out, and nothing is computed for them alone. 0 by default. */
  readonly skip?: number;
  /** Gives pieces of an answer as they come, too, such as the segments of a long recording; false by default. */
  readonly parts?: boolean;
  /**
   * Hears of a source that cannot be read, and its answers, or what is left of them, are left out. Without it such a source ends
   * the answers with its error.
   */
  readonly onBadSource?: (source: number, error: unknown) => void;
  /** Ends the answers before the next batch is computed. */
  readonly signal?: AbortSignal;
}

/** A loaded model that answers about files. */
export interface Predictor<Said = Prediction> extends AsyncDisposable {
  /** Names that {@link PredictOptions.adapter} may choose; absent where there is nothing to choose. */
  readonly adapters?: readonly string[];
  /**
   * Answers in the order of the sources, and of the records in them, each as soon as it is there. Sources are asked for as they
   * are needed, only some of their examples are in memory at a time, and the same sources get the same answers.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file or record that cannot be read
   */
  predict(sources: Iterable<Source> | AsyncIterable<Source>, options?: PredictOptions): AsyncIterable<Answer<Said>>;
  /** What writes answers in a format of its own, such as `.npz`; undefined for paths whose ending it does not know. */
  writer?(path: string): AnswerWriter | undefined;
  /** Endings that {@link Predictor.writer} knows. */
  readonly writerEndings?: readonly string[];
  /** What is to be shown of all answers that were given, such as a heat map. */
  sections?(): readonly ReportSection[];
  /** Frees the model. */
  release(): Promise<void>;
  /** As {@link Predictor.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Writes answers one by one, beside the file that there is to be, which appears with `finish`. */
export interface AnswerWriter {
  /** Adds an answer. */
  write(prediction: Prediction): Promise<void>;
  /** All answers are there. */
  finish(): Promise<void>;
  /** Takes back what was written. */
  abort(): Promise<void>;
}

/**
 * What a task knows of a model that answers in one pass: how files become feeds, and what the outputs mean. `filePredictor` makes
 * a {@link Predictor} of it; a program that runs the session itself calls the two.
 */
export interface Processor {
  /** Values inside the graph that it needs beside the graph's outputs: `model.withOutputs` makes them outputs. */
  readonly outputs?: readonly string[];
  /** Feeds of one batch, a row per file. */
  feeds(files: readonly string[]): Promise<Feeds>;
  /**
   * Predictions of one batch, one per row.
   *
   * @param inputs the feeds that gave the outputs, as `feeds` made them
   */
  decode(outputs: Outputs, inputs: Feeds): Prediction[];
}

/** A processor whose answers are in the outputs alone, such as a classifier's. */
export interface OutputProcessor extends Processor {
  /** Predictions of one batch, one per row. */
  decode(outputs: Outputs): Prediction[];
}

/** Tensors by the names of the model's outputs. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** A record of a source, such as a sequence of a FASTA file. */
export interface SourceRecord<Item> {
  /** What is asked about. */
  readonly item: Item;
  /** Bytes of the source that were read up to its end. */
  readonly read?: number;
  /** Bytes of the source; absent where it has no end yet. */
  readonly total?: number | undefined;
}

/** A row that an item was fed as, and what was made of the outputs for it. */
export interface AnsweredRow<Row, Found> {
  /** What was fed. */
  readonly row: Row;
  /** What the model makes of it. */
  readonly found: Found;
  /** By each adapter of an ensemble: the first is `found`. */
  readonly members: readonly Found[];
}

/**
 * What `recordPredictor` is made from: the records of a source, the rows that a record is fed as, their feeds, and what the
 * outputs mean. `Found` is what is kept of a row until all rows of its record are there.
 */
export interface RecordProcessor<Item, Row, Found, From = Source> {
  /** Names of the outputs that answers are made of; values inside the graph are made outputs. All of the model's by default. */
  readonly outputs?: readonly string[];
  /**
   * The records of a source, one by one. Batches end with the source. Without it a source is one item itself, and batches hold
   * those of several.
   */
  records?(source: From): AsyncIterable<SourceRecord<Item>>;
  /** Reads a source that is one item, such as a recording that must be decoded first; by default the source is the item. */
  read?(source: From): Promise<Item>;
  /** Rows that an item is fed as, one at least. */
  rows(item: Item): readonly Row[];
  /** Answers that an item gets, where that is not one: by it those that are there already are passed over. */
  count?(item: Item): number;
  /** For rows of different lengths: those of about one length are computed together. */
  readonly lengths?: {
    /** How long a row is, in tokens. */
    of(row: Row): number;
    /** False where the model cannot tell padding from tokens, so that rows of a batch must be equally long. */
    readonly isPadded: boolean;
  };
  /** Rows of a batch without a word of the user's; 32 by default. */
  readonly batchSize?: number;
  /** Batches that are read ahead: 16 by default where lengths differ, and else 1. Fewer where items or answers are large. */
  readonly lookAhead?: number;
  /** The model's feeds for these rows. */
  feeds(rows: readonly Row[]): Feeds | Promise<Feeds>;
  /** What is kept of a batch, one per row. */
  decode(outputs: Outputs, feeds: Feeds, rows: readonly Row[]): readonly Found[];
  /** The answers about an item, given its rows in their order. */
  answers(item: Item, rows: readonly AnsweredRow<Row, Found>[]): readonly Prediction[];
}
