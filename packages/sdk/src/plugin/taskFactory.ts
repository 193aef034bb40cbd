/** @file Factories that a plugin contributes: tasks, predictors and preprocessors. */

import type { Adapter } from '../adapter/adapter.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Predictor } from './predictor.ts';
import type { Task } from './preparedTask.ts';
import type { SettingTable, SettingValues } from './settings.ts';
import type { RunnableModel, RunnableOptions } from './taskModel.ts';

/** Makes a task and its predictor from command-line options. */
export interface TaskFactory {
  /** The task's name, as for `--task`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly description: string;
  /** Settings of the task, made by `settingsOf`; the command line takes them as `--set name=value`. */
  readonly settings?: SettingTable;
  /** Training defaults of the command line for this task. */
  readonly defaults?: Readonly<
    Partial<Record<'batchSize' | 'epochs' | 'lr' | 'warmupSteps', number>> & { sampling?: 'uniform' | 'length' }
  >;
  /** Makes the task for this data. Reads no file yet. */
  create(options: TaskOptions): Task;
  /** Input of its predictor: by default whole files, of the types that the domain's preprocessors read. */
  readonly input?: PredictorInput;
  /**
   * Loads the model to answer about unlabelled data. `filePredictor` serves tasks that answer about a file in one pass,
   * `recordPredictor` those that answer about records of files; generation needs its own.
   * @param model the model as the adapter uses it, with the adapter's head and labels
   */
  predictor?(model: RunnableModel, options?: PredictorOptions): Promise<Predictor>;
}

/** Input of a predictor. */
export interface PredictorInput {
  /** File endings that it reads, in lower case with the dot: `.fasta`, `.fasta.gz`. */
  readonly endings?: readonly string[];
  /** Whether it reads byte streams, such as standard input, and answers as it reads; false by default. */
  readonly streams?: boolean;
  /** Whether a file holds records, with an answer for each; false by default. */
  readonly records?: boolean;
}

/** The data and settings of a task. */
export interface TaskOptions {
  /** The path given as `--data`. */
  readonly data: string;
  /** Validation data: a path, or a fraction of the data. */
  readonly validation?: string | number;
  /** Fraction to hold out where the data has no validation split and `validation` is absent. */
  readonly holdOut?: number;
  /** Seed of splits and augmentations. */
  readonly seed: number;
  /** Values of the factory's settings; absent means defaults. */
  readonly settings?: SettingValues | undefined;
}

/** Options of {@link TaskFactory.predictor}. */
export interface PredictorOptions {
  /** Values of the factory's settings. */
  readonly settings?: SettingValues | undefined;
  /** The default adapter, which may bring labels; without it the base answers. */
  readonly adapter?: Adapter;
  /** Adapters with the same labels and head, by the names that sources choose them by. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** How to load the model, except for adapters. */
  readonly load?: Omit<RunnableOptions, 'adapters'>;
}

/** Turns files into the model's inputs, as the preprocessor's config describes. */
export interface Preprocessor {
  /** The tensor of one file without the batch dimension: `[channels, height, width]` for an image. */
  preprocess(file: string): Promise<Tensor>;
}

/** Recognises a parsed `preprocessor_config.json` and makes its preprocessor. */
export interface PreprocessorFactory {
  /** The domain of its package, such as `vision`. */
  readonly domain: string;
  /** File endings that it reads, in lower case with the dot: `.png`. */
  readonly fileEndings: readonly string[];
  /** True when it supports this config. The first factory to return true wins. */
  recognises(config: Readonly<Record<string, unknown>>): boolean;
  /** @throws OnnxLoraError `CONFIG_INVALID` for options that it does not support, naming `path` */
  create(config: Readonly<Record<string, unknown>>, path: string): Preprocessor;
}
