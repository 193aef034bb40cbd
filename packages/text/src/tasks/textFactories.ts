/** @file Tasks with an answer about each text for the command line. */

import { type AnsweringFactory, classifierSettings, labellingSettings, regressionSettings } from '@onnx-lora/sdk/tasks';
import { answeringFactory, headSettings } from '@onnx-lora/sequences';
import { textDomain } from '../domain.ts';
import {
  openTextClassifier,
  openTextLabeller,
  openTextRegressor,
  textClassification,
  textLabelling,
  textRegression,
} from './textTasks.ts';

/** Makes `text-classification` tasks, and what answers with classes. */
export const textClassificationTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-classification',
  description:
    'One class per text or pair of texts, such as a topic; the data is a table with a column of classes, or a folder of text files for each.',
  settings: { ...headSettings, ...classifierSettings('texts') },
  task: textClassification,
  open: openTextClassifier,
});

/** Makes `text-labelling` tasks, and what answers with any number of labels. */
export const textLabellingTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-labelling',
  description:
    'Any number of labels per text or pair, such as topics; the data is a table with labels, or a column of 0 and 1 for each.',
  settings: { ...headSettings, ...labellingSettings },
  task: textLabelling,
  open: openTextLabeller,
});

/** Makes `text-regression` tasks, and what answers with numbers. */
export const textRegressionTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-regression',
  description:
    'Numbers about each text or pair, such as stars or likeness; the data is a table with a column of numbers.',
  settings: { ...headSettings, ...regressionSettings },
  task: textRegression,
  open: openTextRegressor,
});
