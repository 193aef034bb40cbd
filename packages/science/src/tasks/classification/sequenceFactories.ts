/** @file Tasks with an answer about each sequence for the command line. */

import { type AnsweringFactory, classifierSettings, labellingSettings, regressionSettings } from '@onnx-lora/sdk/tasks';
import { answeringFactory, headSettings } from '@onnx-lora/sequences';
import { sequenceDomain } from '../../domain.ts';
import { openSequenceClassifier, openSequenceLabeller, openSequenceRegressor } from './openSequenceClassifier.ts';
import { sequenceClassification, sequenceLabelling, sequenceRegression } from './sequenceTasks.ts';

/** Makes `sequence-classification` tasks, and what answers with classes. */
export const sequenceClassificationTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-classification',
  description:
    'One class per sequence or pair, such as a family, or whether two bind; the data is a table with a column of classes.',
  settings: { ...headSettings, ...classifierSettings('sequences') },
  task: sequenceClassification,
  open: openSequenceClassifier,
});

/** Makes `sequence-labelling` tasks, and what answers with any number of labels. */
export const sequenceLabellingTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-labelling',
  description:
    'Any number of labels per sequence or pair, such as functions; the data is a table with labels, or a column of 0 and 1 for each.',
  settings: { ...headSettings, ...labellingSettings },
  task: sequenceLabelling,
  open: openSequenceLabeller,
});

/** Makes `sequence-regression` tasks, and what answers with numbers. */
export const sequenceRegressionTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-regression',
  description:
    'Numbers about each sequence or pair, such as fitness or solubility; the data is a table with a column of numbers.',
  settings: { ...headSettings, ...regressionSettings },
  task: sequenceRegression,
  open: openSequenceRegressor,
});
