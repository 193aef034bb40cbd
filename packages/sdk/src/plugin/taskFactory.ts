/** @file Makers that a plugin brings: of tasks and predictors from the words of a command, and of preprocessors. */

import type { Adapter } from '../adapter/adapter.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Predictor } from './predictor.ts';
import type { Task } from './preparedTask.ts';
import type { SettingTable, SettingValues } from './settings.ts';
import type { RunnableModel, RunnableOptions } from './taskModel.ts';

/** Makes tasks from the command line's words; a domain package brings one per task. */
export interface TaskFactory {
  /** The task's name on the command line: `--task`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly description: string;
  /** Settings of its own, made by `settingsOf`; the command line takes them as `--set name=value`. */
  readonly settings?: SettingTable;
  /** What the command line trains with where the user says nothing, in place of its own defaults. */
  readonly defaults?: Readonly<
    Partial<Record<'batchSize' | 'epochs' | 'lr' | 'warmupSteps', number>> & { sampling?: 'uniform' | 'length' }
  >;
  /** The task on this data. Reads no file yet. */
  create(options: TaskOptions): Task;
  /** What its predictor is asked about: by default whole files of the kinds that the preprocessors of its domain read. */
  readonly input?: PredictorInput;
  /**
   * Loads the model to answer about what nobody has labelled. `filePredictor` makes it for tasks that answer about a file in one
   * pass, `recordPredictor` for those that answer about the records of files; text that is written token by token is its own.
   *
   * @param model as its adapter answers with it, with the head and the labels that this brings
   */
  predictor?(model: RunnableModel, options?: PredictorOptions): Promise<Predictor>;
}

/** What a predictor is asked about. */
export interface PredictorInput {
  /** Endings of the files that it reads, in lower case with the dot: `.fasta`, `.fasta.gz`. */
  readonly endings?: readonly string[];
  /** Whether it reads bytes as they come, such as those of standard input, and answers as it goes; false by default. */
  readonly streams?: boolean;
  /** Whether a file holds any number of records, with an answer about each; false by default. */
  readonly records?: boolean;
}

/** What the command line knows of the data. */
export interface TaskOptions {
  /** The path given as `--data`. */
  readonly data: string;
  /** Held-out data: a path, or a fraction of the data. */
  readonly validation?: string | number;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing. */
  readonly holdOut?: number;
  /** Seeds splits and augmentations. */
  readonly seed: number;
  /** Values of the factory's own settings, which its table reads; absent is the default. */
  readonly settings?: SettingValues | undefined;
}

/** How a predictor is made. */
export interface PredictorOptions {
  /** Values of the factory's own settings, which its table reads. */
  readonly settings?: SettingValues | undefined;
  /** The adapter that answers where nothing else is said, which may bring labels of its own; the base alone without one. */
  readonly adapter?: Adapter;
  /** Adapters with the same labels and head, by the names that sources may choose them by. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** How the model is to be loaded, adapters aside. */
  readonly load?: Omit<RunnableOptions, 'adapters'>;
}

/** Turns files into exactly what a model is fed, by what its preprocessor's file says. */
export interface Preprocessor {
  /** The tensor of one file without the batch dimension: `[channels, height, width]` for an image. */
  preprocess(file: string): Promise<Tensor>;
}

/** Recognises a parsed `preprocessor_config.json` and makes its preprocessor. */
export interface PreprocessorFactory {
  /** The domain of its package, such as `vision`. */
  readonly domain: string;
  /** File endings it can read, in lower case with the dot: `.png`. */
  readonly fileEndings: readonly string[];
  /** True when it can make what this file describes. The first factory that says so wins. */
  recognises(config: Readonly<Record<string, unknown>>): boolean;
  /** @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported, naming `path` */
  create(config: Readonly<Record<string, unknown>>, path: string): Preprocessor;
}
