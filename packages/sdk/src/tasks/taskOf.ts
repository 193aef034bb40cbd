/** @file Task factories from a domain's descriptions. */

import type { Predictor, Processor } from '../plugin/predictor.ts';
import { filePredictor } from '../predict/filePredictor.ts';
import type { Task } from '../plugin/preparedTask.ts';
import type { GivenOptions, SettingTable } from '../plugin/settings.ts';
import type { PredictorOptions, TaskFactory, TaskOptions } from '../plugin/taskFactory.ts';
import type { RunnableModel, TaskModel } from '../plugin/taskModel.ts';

/** How data are split, as on the command line. */
export type SplitDescription = Pick<TaskOptions, 'validation' | 'holdOut' | 'seed'>;

/** Description of a task. `Reading` is its domain's means of reading files, such as a decoder. */
export interface TaskDefinition<Options, Reading> extends Pick<
  TaskFactory,
  'name' | 'description' | 'defaults' | 'input'
> {
  /** Settings of the task and its predictor. */
  readonly settings: SettingTable<Options>;
  /** Makes the task for the data at a path. */
  task(data: string, options: GivenOptions<Options> & Reading & SplitDescription): Task;
}

/** Description of a task with its own predictor. */
export interface PredictorFacts<Options, Reading> extends TaskDefinition<Options, Reading> {
  /** Makes the predictor. */
  predictor(
    model: RunnableModel,
    own: GivenOptions<Options> & Reading,
    options: Omit<PredictorOptions, 'settings'>,
  ): Promise<Predictor>;
}

/** Description of a task that answers about whole files in one pass. */
export interface ProcessorFacts<Options, Reading> extends TaskDefinition<Options, Reading> {
  /** Makes the preprocessing and decoding. */
  processor(model: TaskModel, own: GivenOptions<Options> & Reading): Promise<Processor>;
  /** Makes the predictor, where it does more than the processor. */
  readonly predictor?: PredictorFacts<Options, Reading>['predictor'];
}

/** A factory with settings and a predictor. */
export interface AnsweringFactory extends TaskFactory {
  readonly settings: SettingTable;
  predictor: NonNullable<TaskFactory['predictor']>;
}

/** A factory with a processor, for programs that run their own sessions. */
export interface ProcessorFactory extends AnsweringFactory {
  /** Makes the preprocessing and decoding. */
  processor(model: TaskModel, settings?: PredictorOptions['settings']): Promise<Processor>;
}

/** Makes the factory of a task; `reading` is added to the options of the task and its predictor. */
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

/** Makes the factory of a task that answers about whole files in one pass. */
export function fileTaskOf<Options, Reading>(
  facts: ProcessorFacts<Options, Reading>,
  reading: Reading,
): ProcessorFactory {
  const { settings } = facts;
  const usual: PredictorFacts<Options, Reading>['predictor'] = async (model, own, options) =>
    filePredictor(model, await facts.processor(model, own), options);
  const { predictor = usual } = facts;
  return {
    ...taskOf({ ...facts, predictor }, reading),
    processor: async (model, given) => facts.processor(model, { ...settings.read(given), ...reading }),
  };
}
