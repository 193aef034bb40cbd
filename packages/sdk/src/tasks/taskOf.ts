/** @file Tasks for the command line from what a domain says of each. */

import type { Predictor, Processor } from '../plugin/predictor.ts';
import { filePredictor } from '../predict/filePredictor.ts';
import type { Task } from '../plugin/preparedTask.ts';
import type { GivenOptions, SettingTable } from '../plugin/settings.ts';
import type { PredictorOptions, TaskFactory, TaskOptions } from '../plugin/taskFactory.ts';
import type { RunnableModel, TaskModel } from '../plugin/taskModel.ts';

/** How the data are divided, as the command line has it. */
export type DividedAs = Pick<TaskOptions, 'validation' | 'holdOut' | 'seed'>;

/** What is said of a task. `Reading` is what its domain reads files with, such as a decoder. */
export interface TaskFacts<Options, Reading> extends Pick<TaskFactory, 'name' | 'description' | 'defaults' | 'input'> {
  /** Settings of the task and of what answers, by the options that they give. */
  readonly settings: SettingTable<Options>;
  /** The task on the data at a path. */
  task(data: string, options: GivenOptions<Options> & Reading & DividedAs): Task;
}

/** Facts of a task about which a predictor of its own answers. */
export interface PredictorFacts<Options, Reading> extends TaskFacts<Options, Reading> {
  /** Loads the model to answer. */
  predictor(
    model: RunnableModel,
    own: GivenOptions<Options> & Reading,
    options: Omit<PredictorOptions, 'settings'>,
  ): Promise<Predictor>;
}

/** Facts of a task that answers about whole files in one pass. */
export interface ProcessorFacts<Options, Reading> extends TaskFacts<Options, Reading> {
  /** How files become feeds, and what the outputs mean. */
  processor(model: TaskModel, own: GivenOptions<Options> & Reading): Promise<Processor>;
}

/** A factory with settings, of a task about which a predictor answers. */
export interface AnsweringFactory extends TaskFactory {
  readonly settings: SettingTable;
  predictor: NonNullable<TaskFactory['predictor']>;
}

/** The same with a processor, for programs that run the session themselves. */
export interface ProcessorFactory extends AnsweringFactory {
  /** How files become feeds, and what the outputs mean. */
  processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor>;
}

/**
 * The factory of a task.
 *
 * @param reading goes along with the options of the task and of what answers
 */
export function taskOf<Options, Reading>(facts: PredictorFacts<Options, Reading>, reading: Reading): AnsweringFactory {
  const { name, description, settings, defaults, input } = facts;
  return {
    name,
    description,
    settings,
    ...(defaults && { defaults }),
    ...(input && { input }),
    create: ({ data, validation, holdOut, seed, settings: given }) =>
      facts.task(data, { ...settings.read(given), ...reading, validation, holdOut, seed } as Parameters<
        typeof facts.task
      >[1]),
    predictor: async (model, { settings: given, ...options } = {}) =>
      facts.predictor(model, { ...settings.read(given), ...reading }, options),
  };
}

/** The same of a task that answers about whole files in one pass. */
export function fileTaskOf<Options, Reading>(
  facts: ProcessorFacts<Options, Reading>,
  reading: Reading,
): ProcessorFactory {
  const { settings } = facts;
  const predictor: PredictorFacts<Options, Reading>['predictor'] = async (model, own, options) =>
    filePredictor(model, await facts.processor(model, own), options);
  return {
    ...taskOf({ ...facts, predictor }, reading),
    processor: async (model, given) => facts.processor(model, { ...settings.read(given), ...reading }),
  };
}
