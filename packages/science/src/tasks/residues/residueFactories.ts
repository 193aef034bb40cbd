/** @file Tasks on residues for the command line: by name, and what answers about sequences without labels. */

import {
  type AnswererOptions,
  choice,
  labelsOrNumbers,
  type Prediction,
  type RecordAnswerer,
  type RunnableModel,
  softmaxRows,
  type Task,
  type TaskFactory,
  type TaskOptions,
  type TaskSetting,
} from '@onnx-lora/sdk';
import { ensembleSetting } from '../records/answeringAdapters.ts';
import { sequenceDefaults } from '../sequenceDefaults.ts';
import { headOptions, headSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { classesText } from './classesText.ts';
import { residueAnswerer } from './residueAnswerer.ts';
import { residueClassification } from './residueClassification.ts';
import { bestOf } from './residueClassMetrics.ts';
import { residueRegression } from './residueRegression.ts';

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
    return residueClassification(options.data, {
      ...sequenceOptions(options),
      head: headOptions(options.settings).head,
      ...(unknown === undefined ? {} : { unknown: Array.isArray(unknown) ? unknown.map(String) : [String(unknown)] }),
      classWeights: choice('classWeights', classWeights, ['balanced', 'effective']),
      ...(typeof labelSmoothing === 'number' ? { labelSmoothing } : {}),
    });
  }

  /**
   * Answers `{ id, residues, confidence, score }`: the classes in the order of the residues, one string where they are single
   * letters; how probable each is, from 0 to 9 in tenths; and the mean of these probabilities. `-` stands for residues without
   * an answer.
   */
  recordAnswerer(model: RunnableModel, options: AnswererOptions = {}): Promise<RecordAnswerer> {
    return residueAnswerer(model, options, 'classes', (outputs) => {
      const labels = labelsOrNumbers(model, outputs);
      return {
        valuesOf: (scores) => softmaxRows(scores, outputs),
        shown: (letters): Prediction => {
          const best = letters.map((probabilities) => probabilities && bestOf(probabilities));
          const sure = letters.map((probabilities, i) => probabilities?.[best[i]!]);
          const answered = sure.filter((probability) => probability !== undefined);
          return {
            residues: classesText(best.map((c) => (c === undefined ? undefined : labels[c]))),
            confidence: classesText(
              sure.map((probability) => (probability === undefined ? undefined : tenths(probability))),
            ),
            score: answered.reduce((sum, probability) => sum + probability, 0) / answered.length,
          };
        },
      };
    });
  }
}

/** Makes `residue-regression` tasks, and what answers with a number for each residue. */
export class ResidueRegressionFactory implements TaskFactory {
  readonly name = 'residue-regression';
  readonly description =
    'A number for each residue, such as its accessibility or flexibility; the data is a table with a list of numbers per sequence.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'loss', kind: 'text', description: 'mse (default), or huber, which minds outliers less.' },
    ...settings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return residueRegression(options.data, {
      ...sequenceOptions(options),
      head: headOptions(options.settings).head,
      loss: choice('loss', options.settings?.['loss'], ['mse', 'huber']),
    });
  }

  /** Answers `{ id, values }`: a number for each residue, null for those without an answer. */
  recordAnswerer(model: RunnableModel, options: AnswererOptions = {}): Promise<RecordAnswerer> {
    return residueAnswerer(model, options, 'numbers', () => ({
      valuesOf: (scores) => Float64Array.from(scores),
      // As many digits as float32 has.
      shown: (letters): Prediction => ({ values: letters.map((value) => (value ? Number(value[0]!.toPrecision(7)) : null)) }), // prettier-ignore
    }));
  }
}

/** A probability as a digit: 9 from 0.9 on. */
function tenths(probability: number): string {
  return String(Math.min(9, Math.floor(10 * probability)));
}
