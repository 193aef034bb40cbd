/** @file Answers about files that nobody has labelled. */

import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { ReportSection } from './reportSection.ts';

/**
 * The answer for one example: `{ label: '7', score: 0.98 }`. The command line prints its words and numbers, or of an answer
 * with a `text` only that; `--json` and the file of `--out` have all of it. A value that is a `Uint8Array` is the
 * bytes of a PNG file, such as a mask, which the command line writes into the folder of `--out`.
 */
export type Prediction = Readonly<Record<string, unknown>>;

/** Asks a model about files that nobody has labelled. */
export interface Predictor {
  /** Values inside the graph that it needs beside the graph's outputs: `model.withOutputs` makes them outputs. */
  readonly outputs?: readonly string[];
  /** Feeds of one batch, a row per file. */
  feeds(files: readonly string[]): Promise<Feeds>;
  /**
   * Predictions of one batch, one per row.
   *
   * @param inputs the feeds that gave the outputs
   */
  decode(outputs: Readonly<Record<string, Tensor>>, inputs: Feeds): Prediction[];
}

/** A predictor whose answers are in the outputs alone, such as a classifier's. */
export interface OutputPredictor extends Predictor {
  /** Predictions of one batch, one per row. */
  decode(outputs: Readonly<Record<string, Tensor>>): Prediction[];
}

/** Asks a model that answers in several passes about files that nobody has labelled. */
export interface Answerer {
  /**
   * An answer for each source, in their order, as soon as there is one. A source is a path, or the bytes of a file as they
   * come, such as those of standard input.
   *
   */
  answers(
    sources: readonly (string | AsyncIterable<Uint8Array>)[],
    options?: AnswersOptions,
  ): AsyncIterable<Prediction>;
  /** Frees what it has loaded. */
  release(): Promise<void>;
}

/** Options of {@link Answerer.answers}. */
export interface AnswersOptions {
  /** How many sources may be answered at once. */
  readonly batchSize?: number;
  /** Hears of pieces of an answer as they come, such as the segments of a long recording. */
  readonly onPart?: (source: number, part: Prediction) => void;
}

/** Asks a model about the records of files, however many they are. */
export interface RecordAnswerer {
  /** Endings of the files that it reads, in lower case with the dot: `.fasta`, `.fasta.gz`. */
  readonly fileEndings: readonly string[];
  /**
   * Answers in the order of the records. Only some of them are in memory at a time, and the same source gives the same answers
   * in the same order.
   *
   * @param source a path, or the bytes of a file as they come, such as those of standard input
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the record and its line
   */
  answers(source: string | AsyncIterable<Uint8Array>, options?: RecordAnswersOptions): AsyncIterable<RecordAnswer>;
  /** What writes answers in a format of its own, such as `.npz`; undefined for paths whose ending it does not know. */
  writer?(path: string): RecordWriter | undefined;
  /** Endings that {@link RecordAnswerer.writer} knows. */
  readonly writerEndings?: readonly string[];
  /** What is to be shown of all answers that were given, such as a heat map. */
  sections?(): readonly ReportSection[];
  /** Frees what it has loaded. */
  release(): Promise<void>;
}

/** Options of {@link RecordAnswerer.answers}. */
export interface RecordAnswersOptions {
  /** Answers that are there already: so many are left out, and nothing is computed for them alone. 0 by default. */
  readonly skip?: number;
  /** Records that are computed at once, at most. */
  readonly batchSize?: number;
  /** Ends the answers before the next batch is computed. */
  readonly signal?: AbortSignal;
}

/** The answer about one record. */
export interface RecordAnswer {
  /** Begins with what the record is called: `{ id: 'sp|P69905|HBA_HUMAN', value: 0.71 }`. */
  readonly prediction: Prediction;
  /** Bytes of the source that were read, as far as it is known. */
  readonly read: number;
  /** Bytes of the source; absent where it has no end yet. */
  readonly total?: number;
}

/** Writes answers one by one, beside the file that there is to be, which appears with `finish`. */
export interface RecordWriter {
  /** Adds an answer. */
  write(prediction: Prediction): Promise<void>;
  /** All answers are there. */
  finish(): Promise<void>;
  /** Takes back what was written. */
  abort(): Promise<void>;
}
