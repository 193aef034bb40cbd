/** @file Settings that tasks of all domains share, by the options that they give, and tasks that only answer. */

import { OnnxLoraError } from '../../errors.ts';
import type { Metrics } from '../dataset.ts';
import type { Task } from '../preparedTask.ts';
import type { SettingRow, SettingRows, SettingTable } from '../settings.ts';
import type { ClassifierOptions } from './classification/classification.ts';
import type { LabellingOptions } from './classification/labelling.ts';
import type { RetrievalLossOptions } from './embedding/retrieval.ts';
import type { RegressionOptions } from './regression/regressionParts.ts';

/** Whether labels get a new head. */
export const headSetting: SettingRow<'auto' | 'new' | 'keep'> = {
  kind: 'choice',
  of: ['auto', 'new', 'keep'],
  description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
};

/** Of tasks with one class per example; `noun` is what examples are called: `images`. */
export function classifierSettings(noun: string): Required<SettingRows<ClassifierOptions>> {
  return {
    labelSmoothing: {
      kind: 'number',
      min: 0,
      max: 1,
      description: 'How much of a label is spread over all classes, 0 to 1.',
    },
    classWeights: {
      kind: 'choice',
      of: ['balanced', 'effective'],
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    calibrate: { kind: 'flag', description: `Fits a temperature on held-out ${noun}, for probabilities to trust.` },
  };
}

/** Of tasks with any number of labels per example. */
export const labellingSettings: SettingRows<LabellingOptions> = {
  threshold: {
    kind: 'number',
    above: 0,
    below: 1,
    or: ['tuned'],
    description: 'Probability between 0 and 1 from which a label is given (0.5), or tuned.',
  },
  posWeights: {
    kind: 'choice',
    of: ['balanced'],
    description: 'balanced: rare labels count as much as frequent ones.',
  },
};

/** Of tasks with numbers about each example. */
export const regressionSettings: SettingRows<RegressionOptions> = {
  loss: {
    kind: 'choice',
    of: ['mse', 'huber'],
    description: 'mse (default), or huber, which minds outliers less.',
  },
};

/** Of tasks that draw examples of one kind together; `noun` is what examples are called, and of what kind: `Images of one label`. */
export function retrievalSettings(noun: string): SettingRows<RetrievalLossOptions> {
  return {
    loss: {
      kind: 'choice',
      of: ['contrastive', 'triplet', 'info-nce'],
      description: 'contrastive (default), triplet or info-nce.',
    },
    temperature: { kind: 'number', above: 0, description: 'What cosines are divided by; 0.1 by default.' },
    margin: { kind: 'number', min: 0, description: 'Of triplets; 0.2 by default.' },
    perGroup: {
      kind: 'number',
      whole: true,
      min: 2,
      description: `${noun} that are trained on together; 2 by default.`,
    },
  };
}

/** A task with nothing to learn, which says when it is prepared what to take instead: `To train …, take the task …`. */
export function answeringTask(name: string, instead: string): Task {
  return {
    name,
    prepare: () =>
      Promise.reject(new OnnxLoraError('CONFIG_INVALID', `The task ${name} only answers (predict). ${instead}.`)),
  };
}

/** The task, whose options are checked as the settings that they are when it is prepared, before anything is read. */
export function checkedTask<Options, Example, Scores extends Metrics, During extends Metrics>(
  settings: SettingTable<Options>,
  options: Parameters<SettingTable<NoInfer<Options>>['checkOptions']>[0],
  task: Task<Example, Scores, During>,
): Task<Example, Scores, During> {
  return {
    name: task.name,
    prepare: async (model) => {
      settings.checkOptions(options);
      return task.prepare(model);
    },
  };
}
