/** @file Tasks with an answer about each sequence for the command line. */

import { type AnsweringFactory, classifierSettings, labellingSettings, regressionSettings } from '@onnx-lora/sdk/tasks';
import { answeringFactory, type AnsweringOptions, answeringSettings, headSettings } from '../sequenceTaskFactory.ts';
import { openSequenceClassifier, openSequenceLabeller, openSequenceRegressor } from './openSequenceClassifier.ts';
import {
  sequenceClassification,
  type SequenceClassificationOptions,
  sequenceLabelling,
  type SequenceLabellingOptions,
  sequenceRegression,
  type SequenceRegressionOptions,
} from './sequenceTasks.ts';

/** Makes `sequence-classification` tasks, and what answers with classes. */
export const sequenceClassificationTask: AnsweringFactory = answeringFactory<
  SequenceClassificationOptions & AnsweringOptions
>({
  name: 'sequence-classification',
  description:
    'One class per sequence or pair, such as a family, or whether two bind; the data is a table with a column of classes.',
  settings: { ...headSettings, ...classifierSettings('sequences'), ...answeringSettings },
  task: sequenceClassification,
  open: openSequenceClassifier,
});

/** Makes `sequence-labelling` tasks, and what answers with any number of labels. */
export const sequenceLabellingTask: AnsweringFactory = answeringFactory<SequenceLabellingOptions & AnsweringOptions>({
  name: 'sequence-labelling',
  description:
    'Any number of labels per sequence or pair, such as functions; the data is a table with labels, or a column of 0 and 1 for each.',
  settings: { ...headSettings, ...labellingSettings, ...answeringSettings },
  task: sequenceLabelling,
  open: openSequenceLabeller,
});

/** Makes `sequence-regression` tasks, and what answers with numbers. */
export const sequenceRegressionTask: AnsweringFactory = answeringFactory<SequenceRegressionOptions & AnsweringOptions>({
  name: 'sequence-regression',
  description:
    'Numbers about each sequence or pair, such as fitness or solubility; the data is a table with a column of numbers.',
  settings: { ...headSettings, ...regressionSettings, ...answeringSettings },
  task: sequenceRegression,
  open: openSequenceRegressor,
});
