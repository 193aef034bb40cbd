/** @file Tasks on residues for the command line: by name, and what answers about sequences without labels. */

import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { choice, type Predictor, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import { withEnsemble } from '../../ensemble/evaluateEnsemble.ts';
import { ensembleSetting } from '../records/answeringAdapters.ts';
import { sequenceOptionsOf } from '../records/headPredictor.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { sequenceDefaults } from '../sequenceDefaults.ts';
import { headOptions, headSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { openResidueClassifier, openResidueRegressor } from './openResidueClassifier.ts';
import { residueClassification, residueRegression } from './residueTasks.ts';

/** What both tasks have; what a head reads is not to be chosen, for there is one answer per token. */
const settings: readonly TaskSetting[] = [
  ...headSettings.filter(({ name }) => name === 'head'),
  ensembleSetting,
  ...sequenceSettings.map((setting) =>
    setting.name === 'tooLong'
      ? { ...setting, description: 'Of longer sequences: windows (all of it, in pieces; default), crop or error.' }
      : setting,
  ),
];

/** Makes `residue-classification` tasks, and what answers with a class for each residue. */
export class ResidueClassificationFactory implements TaskFactory {
  readonly name = 'residue-classification';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'A class for each residue, such as its secondary structure or whether it binds; the data is a table with a letter per residue, or a list.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'unknown', kind: 'texts', description: 'Labels of residues of which nothing is known, such as X.' },
    {
      name: 'classWeights',
      kind: 'text',
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    { name: 'labelSmoothing', kind: 'number', description: 'How much of a label is spread over all classes, 0 to 1.' },
    ...settings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { unknown, classWeights, labelSmoothing } = options.settings ?? {};
    const task = residueClassification(options.data, {
      ...sequenceOptions(options),
      head: headOptions(options.settings).head,
      ...(unknown === undefined ? {} : { unknown: Array.isArray(unknown) ? unknown.map(String) : [String(unknown)] }),
      classWeights: choice('classWeights', classWeights, ['balanced', 'effective']),
      ...(typeof labelSmoothing === 'number' ? { labelSmoothing } : {}),
    });
    return withEnsemble(task, options.settings);
  }

  /** Answers `{ id, residues, confidence, score }`, see {@link openResidueClassifier}. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return openResidueClassifier(model, await sequenceOptionsOf(options));
  }
}

/** Makes `residue-regression` tasks, and what answers with a number for each residue. */
export class ResidueRegressionFactory implements TaskFactory {
  readonly name = 'residue-regression';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'A number for each residue, such as its accessibility or flexibility; the data is a table with a list of numbers per sequence.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'loss', kind: 'text', description: 'mse (default), or huber, which minds outliers less.' },
    ...settings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const task = residueRegression(options.data, {
      ...sequenceOptions(options),
      head: headOptions(options.settings).head,
      loss: choice('loss', options.settings?.['loss'], ['mse', 'huber']),
    });
    return withEnsemble(task, options.settings);
  }

  /** Answers `{ id, values }`, see {@link openResidueRegressor}. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return openResidueRegressor(model, await sequenceOptionsOf(options));
  }
}
