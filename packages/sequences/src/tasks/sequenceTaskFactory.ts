/** @file Common part of sequence task factories: settings, inputs and predictors. */

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
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../domain.ts';
import type { SequenceRecord } from '../record.ts';
import { withEnsemble } from '../ensemble/evaluateEnsemble.ts';
import type { BaselineOptions } from '../report/frozenSections.ts';
import { type EnsembleSources, ensembleSettings } from './records/answeringAdapters.ts';
import { sequenceOptionsOf, type SequencePredictorOptions } from './records/headPredictor.ts';
import type { SequenceHeadOptions } from './sequenceHead.ts';
import type { LengthOptions, TokenOptions } from './sequenceTask.ts';

/** Settings of {@link LengthOptions}. */
export const lengthSettings: SettingRows<LengthOptions> = {
  maxLength: {
    kind: 'number',
    whole: true,
    min: 1,
    description: "Most tokens at once, special ones included; what the model's files say by default.",
  },
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'Longer inputs: crop (to the beginning; default), windows (overlapping pieces) or error.',
  },
  overlap: {
    kind: 'number',
    whole: true,
    min: 0,
    description: 'Tokens that neighbouring windows share; a quarter by default.',
  },
};

/** Settings of tasks on whole sequences. */
export const headSettings: SettingRows<SequenceHeadOptions & BaselineOptions> = {
  head: headSetting,
  pool: {
    kind: 'choice',
    of: ['mean', 'first'],
    description: 'Input of a new head: mean (of all tokens; the default) or first.',
  },
  baselines: {
    kind: 'flag',
    description: 'Compare LoRA with ridge and neighbours on frozen embeddings in the report (default: true).',
  },
};

/** Definition of a sequence task for the command line. */
export interface SequenceFactory<Options> extends Pick<TaskFactory, 'name' | 'description' | 'defaults'> {
  /** Settings of the task and of its predictor, by option. */
  readonly settings: SettingRows<Options>;
  /** Makes the task from data and options. */
  readonly task: (data: string, options: GivenOptions<Options> & DivideOptions<never>) => Task;
  /** Makes the predictor. */
  readonly predictor: (
    model: RunnableModel,
    options: Omit<PredictorOptions, 'settings'>,
    settings: GivenOptions<Options>,
  ) => Predictor | Promise<Predictor>;
}

/** Makes the factory of a sequence task, whose predictors read the domain's files. */
export function sequenceFactory<Options>(
  { input }: Pick<SequenceDomain<never, never, never>, 'input'>,
  { settings: rows, task, predictor, ...factory }: SequenceFactory<Options>,
): AnsweringFactory {
  const settings = settingsOf<Options>(rows);
  return {
    ...factory,
    settings,
    input,
    create: ({ data, settings: given, validation, holdOut, seed }) =>
      task(data, { ...settings.read(given), validation, holdOut, seed }),
    predictor: async (model, { settings: given, ...options } = {}) => predictor(model, options, settings.read(given)),
  };
}

/** Options of predictors: ensemble, row lengths, and the domain's reading options. */
export type AnsweringOptions<Options = object> = EnsembleSources & TokenOptions & Options;

/** The settings of {@link AnsweringOptions}. */
export function answeringSettings<R extends SequenceRecord, Options extends DivideOptions<R>>({
  settings,
}: Pick<SequenceDomain<R, never, Options>, 'settings'>): SettingRows<AnsweringOptions<Options>> {
  return { ...ensembleSettings, ...lengthSettings, ...settings };
}

/** Makes the factory of a task with ensembles; `open` makes the predictor. Adds {@link answeringSettings}. */
export function answeringFactory<R extends SequenceRecord, Options extends DivideOptions<R>, Own>(
  domain: Pick<SequenceDomain<R, never, Options>, 'input' | 'settings' | 'defaults'>,
  {
    task,
    open,
    settings,
    ...factory
  }: Pick<SequenceFactory<Own & AnsweringOptions<Options>>, 'name' | 'description' | 'task'> & {
    readonly settings: SettingRows<Own>;
    readonly open: (model: RunnableModel, options: SequencePredictorOptions<Options>) => Promise<Predictor>;
  },
): AnsweringFactory {
  return sequenceFactory<Own & AnsweringOptions<Options>>(domain, {
    ...factory,
    defaults: domain.defaults,
    settings: { ...answeringSettings(domain), ...settings } as SettingRows<Own & AnsweringOptions<Options>>,
    task: (data, options) => withEnsemble(task(data, options), options.ensemble),
    predictor: async (model, options, given) => open(model, await sequenceOptionsOf(options, given)),
  });
}
