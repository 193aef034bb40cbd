/** @file Tasks on residues for the command line: by name, and what answers about sequences without labels. */

import { type TaskFactory, type SettingRows, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import {
  type Predictor,
  type RunnableModel,
  type Task,
  classifierSettings,
  headSetting,
  regressionSettings,
} from '@onnx-lora/sdk/tasks';
import { type SequencePredictorOptions } from '../records/headPredictor.ts';
import { openResidueClassifier, openResidueRegressor } from './openResidueClassifier.ts';
import {
  residueClassification,
  residueRegression,
  type ResidueClassificationOptions,
  type ResidueRegressionOptions,
} from './residueTasks.ts';
import type { SequenceHeadOptions } from '../sequenceHead.ts';
import { AnsweringFactory, type AnsweringOptions, answeringSettings } from '../sequenceTaskFactory.ts';

/** What both tasks have; what a head reads is not to be chosen, for there is one answer per token. */
const residueSettings: SettingRows<Pick<SequenceHeadOptions, 'head'> & AnsweringOptions> = {
  head: headSetting,
  ...answeringSettings,
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'Of longer sequences: windows (all of it, in pieces; default), crop or error.',
  },
};

/** Makes `residue-classification` tasks, and what answers with `{ id, residues, confidence, score }`. */
export class ResidueClassificationFactory
  extends AnsweringFactory<ResidueClassificationOptions & AnsweringOptions>
  implements TaskFactory
{
  readonly name = 'residue-classification';
  readonly description =
    'A class for each residue, such as its secondary structure or whether it binds; the data is a table with a letter per residue, or a list.';
  readonly settings: SettingTable<ResidueClassificationOptions & AnsweringOptions> = settingsOf({
    unknown: { kind: 'texts', description: 'Labels of residues of which nothing is known, such as X.' },
    classWeights: classifierSettings('').classWeights,
    labelSmoothing: classifierSettings('').labelSmoothing,
    ...residueSettings,
  });

  protected task(data: string, options: ResidueClassificationOptions): Task {
    return residueClassification(data, options);
  }

  protected open(model: RunnableModel, options: SequencePredictorOptions): Promise<Predictor> {
    return openResidueClassifier(model, options);
  }
}

/** Makes `residue-regression` tasks, and what answers with `{ id, values }`. */
export class ResidueRegressionFactory
  extends AnsweringFactory<ResidueRegressionOptions & AnsweringOptions>
  implements TaskFactory
{
  readonly name = 'residue-regression';
  readonly description =
    'A number for each residue, such as its accessibility or flexibility; the data is a table with a list of numbers per sequence.';
  readonly settings: SettingTable<ResidueRegressionOptions & AnsweringOptions> = settingsOf({
    ...regressionSettings,
    ...residueSettings,
  });

  protected task(data: string, options: ResidueRegressionOptions): Task {
    return residueRegression(data, options);
  }

  protected open(model: RunnableModel, options: SequencePredictorOptions): Promise<Predictor> {
    return openResidueRegressor(model, options);
  }
}
