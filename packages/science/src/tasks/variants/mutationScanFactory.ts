/** @file Scans of all single substitutions for the command line. */

import {
  answeringTask,
  type Predictor,
  requireNamedAdapters,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { dataSettings } from '../../data/dataSettings.ts';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import type { MutationScannerOptions, ScanOptions } from '../../variants/mutationScan.ts';
import { SequenceTaskFactory } from '../sequenceTaskFactory.ts';
import { scanPredictor } from './scanPredictor.ts';
import { scoringSettings } from './variantEffectFactory.ts';

/** Options of the scan and of the data. */
export type MutationScanFactoryOptions = Pick<MutationScannerOptions, 'by' | 'value' | 'method' | 'maxLength'> &
  Pick<ScanOptions, 'residues'> &
  SequenceDataOptions;

/** The task `mutation-scan`: it answers with every single substitution of a sequence, and has nothing to learn. */
export class MutationScanFactory extends SequenceTaskFactory<MutationScanFactoryOptions> implements TaskFactory {
  readonly name = 'mutation-scan';
  readonly description = 'The effect of every single substitution of each sequence; to predict with, not to train.';
  readonly settings: SettingTable<MutationScanFactoryOptions> = settingsOf({
    by: {
      kind: 'choice',
      of: ['likelihood', 'model'],
      description:
        'likelihood (default), by a masked language model; model, what an adapter of sequence-regression predicts.',
    },
    value: { kind: 'text', description: 'With by=model, which of several predicted numbers.' },
    residues: {
      kind: 'text',
      to: lettersOf,
      must: 'the letters to put in, such as ACDEFGHIKLMNPQRSTVWY',
      description: 'The letters to put in; by default the 20 amino acids, or the 4 bases.',
    },
    ...scoringSettings,
    ...dataSettings,
  });

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answeringTask(
      this.name,
      'To measure scores of variants take the task variant-effect; to learn from measurements, sequence-regression',
    );
  }

  /** Answers `{ id, mutation, score }`, one for each substitution, and shows heat maps. */
  async predictor(
    model: RunnableModel,
    { settings, adapter, adapters, load }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(adapters);
    const { by, value, residues, method, maxLength, ...data } = this.settings.read(settings);
    return scanPredictor(model, { ...load, by, value, residues, method, maxLength, adapter }, data);
  }
}

/** The letters of a word, each once; undefined where it has others than letters. */
function lettersOf(text: string): readonly string[] | undefined {
  const letters = [...new Set(text.toUpperCase().replaceAll(/[\s,]/g, ''))];
  return letters.length > 0 && letters.every((letter) => /[A-Z]/.test(letter)) ? letters : undefined;
}
