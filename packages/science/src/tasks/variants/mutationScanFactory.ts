/** @file Scans of all single substitutions for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  answersOnly,
  choice,
  type Predictor,
  requireNamedAdapters,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { scanPredictor } from './scanPredictor.ts';
import { scoringFrom, scoringSettings } from './variantSettings.ts';

/** The task `mutation-scan`: it answers with every single substitution of a sequence, and has nothing to learn. */
export class MutationScanFactory implements TaskFactory {
  readonly name = 'mutation-scan';
  readonly input: PredictorInput = sequenceFiles;
  readonly description = 'The effect of every single substitution of each sequence; to predict with, not to train.';
  readonly settings: readonly TaskSetting[] = [
    {
      name: 'by',
      kind: 'text',
      description:
        'likelihood (default), by a masked language model; model, what an adapter of sequence-regression predicts.',
    },
    { name: 'value', kind: 'text', description: 'With by=model, which of several predicted numbers.' },
    {
      name: 'residues',
      kind: 'text',
      description: 'The letters to put in; by default the 20 amino acids, or the 4 bases.',
    },
    ...scoringSettings,
    ...dataSettings,
  ];

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answersOnly(
      this.name,
      'To measure scores of variants take the task variant-effect; to learn from measurements, sequence-regression.',
    );
  }

  /** Answers `{ id, mutation, score }`, one for each substitution, and shows heat maps. */
  async predictor(
    model: RunnableModel,
    { settings = {}, adapter, adapters, load }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(adapters);
    const { value, residues } = settings;
    const scoring = {
      ...load,
      ...scoringFrom(settings),
      adapter,
      by: choice('by', settings['by'], ['likelihood', 'model']),
      ...(value === undefined ? {} : { value: String(value) }),
      ...(residues === undefined ? {} : { residues: lettersOf(String(residues)) }),
    };
    return scanPredictor(model, scoring, dataOptions(settings));
  }
}

/** The letters of a word, each once. */
function lettersOf(text: string): string[] {
  const letters = [...new Set(text.toUpperCase().replaceAll(/[\s,]/g, ''))];
  if (letters.length > 0 && letters.every((letter) => /[A-Z]/.test(letter))) return letters;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting residues is ${JSON.stringify(text)}. Write the letters to put in, such as ACDEFGHIKLMNPQRSTVWY.`,
  );
}
