/** @file Tasks with an answer about each residue for the command line. */

import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { type AnsweringFactory, classifierSettings, headSetting, regressionSettings } from '@onnx-lora/sdk/tasks';
import {
  answeringFactory,
  type AnsweringOptions,
  answeringSettings,
  type SequenceHeadOptions,
} from '@onnx-lora/sequences';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import { sequenceDomain } from '../../domain.ts';
import { openResidueClassifier, openResidueRegressor } from './openResidueClassifier.ts';
import { residueClassification, residueRegression } from './residueTasks.ts';

/** What both tasks have; what a head reads is not to be chosen, for there is one answer per token. */
const residueSettings: SettingRows<Pick<SequenceHeadOptions, 'head'> & AnsweringOptions<SequenceDataOptions>> = {
  head: headSetting,
  ...answeringSettings(sequenceDomain),
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'Of longer sequences: windows (all of it, in pieces; default), crop or error.',
  },
};

/** Makes `residue-classification` tasks, and what answers with `{ id, residues, confidence, score }`. */
export const residueClassificationTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'residue-classification',
  description:
    'A class for each residue, such as its secondary structure or whether it binds; the data is a table with a letter per residue, or a list.',
  settings: {
    unknown: { kind: 'texts', description: 'Labels of residues of which nothing is known, such as X.' },
    classWeights: classifierSettings('').classWeights,
    labelSmoothing: classifierSettings('').labelSmoothing,
    ...residueSettings,
  },
  task: residueClassification,
  open: openResidueClassifier,
});

/** Makes `residue-regression` tasks, and what answers with `{ id, values }`. */
export const residueRegressionTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'residue-regression',
  description:
    'A number for each residue, such as its accessibility or flexibility; the data is a table with a list of numbers per sequence.',
  settings: { ...regressionSettings, ...residueSettings },
  task: residueRegression,
  open: openResidueRegressor,
});
