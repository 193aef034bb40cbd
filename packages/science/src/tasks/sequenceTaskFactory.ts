/** @file What the factories of all tasks on sequences share: settings, what they are asked about, and predictors. */

import {
  type AnsweringFactory,
  headSetting,
  type Predictor,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import {
  type GivenOptions,
  type PredictorOptions,
  type SettingRows,
  settingsOf,
  type TaskFactory,
} from '@onnx-lora/sdk/plugin';
import { dataSettings } from '../data/dataSettings.ts';
import { withEnsemble } from '../ensemble/evaluateEnsemble.ts';
import type { BaselineOptions } from '../report/frozenEmbeddings.ts';
import { type EnsembleOptions, ensembleSettings } from './records/answeringAdapters.ts';
import { sequenceOptionsOf, type SequencePredictorOptions } from './records/headPredictor.ts';
import { sequenceFiles } from './records/sequencePredictor.ts';
import type { SequenceHeadOptions } from './sequenceHead.ts';
import type { LengthOptions, SequenceTaskOptions } from './sequenceTask.ts';

/** How long rows are. */
const lengthSettings: SettingRows<LengthOptions> = {
  maxLength: {
    kind: 'number',
    whole: true,
    min: 1,
    description: "Most tokens of a sequence; what the model's files say by default.",
  },
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'Of longer sequences: crop (the beginning; default), windows (all of it, in pieces) or error.',
  },
  overlap: {
    kind: 'number',
    whole: true,
    min: 0,
    description: 'Tokens that neighbouring windows share; a quarter by default.',
  },
};

/** Lengths and data: what every task that is trained has. */
export const sequenceSettings: SettingRows<SequenceTaskOptions> = { ...lengthSettings, ...dataSettings };

/** Of tasks that answer about whole sequences. */
export const headSettings: SettingRows<SequenceHeadOptions & BaselineOptions> = {
  head: headSetting,
  pool: {
    kind: 'choice',
    of: ['mean', 'first'],
    description: 'What a new head reads: mean (of all tokens; the default) or first.',
  },
  baselines: {
    kind: 'flag',
    description: 'Compare LoRA with ridge and neighbours on frozen embeddings in the report (default: true).',
  },
};

/** Of what several adapters answer together, lengths and data. */
export const answeringSettings: SettingRows<AnsweringOptions> = { ...ensembleSettings, ...sequenceSettings };

/** What several adapters may answer together about sequences. */
export interface AnsweringOptions extends EnsembleOptions, SequenceTaskOptions {}

/** What the command line knows of a task on sequences. */
interface SequenceFactory<Options> extends Pick<TaskFactory, 'name' | 'description' | 'defaults'> {
  /** Settings of the task and of its predictor, by the options that they give. */
  readonly settings: SettingRows<Options>;
  readonly task: (data: string, options: GivenOptions<Options> & SequenceTaskOptions) => Task;
  readonly predictor: (
    model: RunnableModel,
    options: Omit<PredictorOptions, 'settings'>,
    settings: GivenOptions<Options>,
  ) => Predictor | Promise<Predictor>;
}

/** A factory of tasks on sequences, whose predictors are asked about files of them. */
export function sequenceFactory<Options>({
  settings: rows,
  task,
  predictor,
  ...factory
}: SequenceFactory<Options>): AnsweringFactory {
  const settings = settingsOf<Options>(rows);
  return {
    ...factory,
    settings,
    input: sequenceFiles,
    create: ({ data, settings: given, validation, holdOut, seed }) =>
      task(data, { ...settings.read(given), validation, holdOut, seed }),
    predictor: async (model, { settings: given, ...options } = {}) => predictor(model, options, settings.read(given)),
  };
}

/**
 * Batches of 8, as Schmirler et al. have them: sequences are long, and data sets of measurements small. Their learning rate is
 * 3e-4 for models of 8 million parameters and more; small models learn as well with 1e-3. A new head starts as a probe, so that
 * few epochs are enough where data are many. Sequences of like length come together, so that little of a batch is padding.
 *
 * @see Schmirler, Heinzinger, Rost: Fine-tuning protein language models boosts predictions across diverse tasks, 2024
 */
const sequenceDefaults: NonNullable<TaskFactory['defaults']> = {
  batchSize: 8,
  epochs: 5,
  lr: 5e-4,
  warmupSteps: 0.1,
  sampling: 'length',
};

/** A factory of tasks on labelled sequences, about which several adapters may answer together; `open` makes what answers. */
export function answeringFactory<Options extends AnsweringOptions>({
  task,
  open,
  ...factory
}: Omit<SequenceFactory<Options>, 'predictor' | 'defaults'> & {
  readonly open: (model: RunnableModel, options: SequencePredictorOptions) => Promise<Predictor>;
}): AnsweringFactory {
  return sequenceFactory<Options>({
    ...factory,
    defaults: sequenceDefaults,
    task: (data, options) => withEnsemble(task(data, options), options.ensemble),
    predictor: async (model, options, settings) => open(model, await sequenceOptionsOf(options, settings)),
  });
}
