/** @file Zero-shot variant effects for the command line. */

import { type Predictor, requireNamedAdapters, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  type SettingRows,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { dataSettings } from '../../data/dataSettings.ts';
import { variantMethods, type VariantScorerOptions } from '../../variants/variantScorer.ts';
import { SequenceTaskFactory } from '../sequenceTaskFactory.ts';
import { variantEffect, type VariantEffectOptions } from './variantEffect.ts';
import { variantPredictor } from './variantPredictor.ts';

/** Of scoring by likelihood. */
export const scoringSettings: SettingRows<Pick<VariantScorerOptions, 'method' | 'maxLength'>> = {
  method: {
    kind: 'choice',
    of: variantMethods,
    description: `How variants are scored: ${variantMethods.join(', ')}; the first by default.`,
  },
  maxLength: {
    kind: 'number',
    whole: true,
    min: 1,
    description: 'Most tokens that the model is shown at once, special ones included.',
  },
};

/** The task `variant-effect`: it measures and answers, and has nothing to learn. */
export class VariantEffectFactory extends SequenceTaskFactory<VariantEffectOptions> implements TaskFactory {
  readonly name = 'variant-effect';
  readonly description =
    'Scores of variants by a protein language model that has seen no measurement; to measure and predict with, not to train.';
  readonly settings: SettingTable<VariantEffectOptions> = settingsOf({
    ...scoringSettings,
    multiple: {
      kind: 'choice',
      of: ['additive', 'together'],
      description:
        'What masked-marginals masks for several substitutions: additive (default) each alone, together all at once.',
    },
    value: {
      kind: 'text',
      description: 'Which measurement scores are compared with, where there are several.',
    },
    ...dataSettings,
  });

  /** The task on the data, of which nothing is held out, since nothing is trained on it. */
  create(options: TaskOptions): Task {
    return variantEffect(options.data, { ...this.optionsOf(options), holdOut: undefined });
  }

  /** Answers `{ id, score }` for each variant of a table of mutations, or of a file of sequences. */
  async predictor(
    model: RunnableModel,
    { settings, adapter, adapters, load }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(adapters);
    const { method, multiple, maxLength, ...data } = this.settings.read(settings);
    return variantPredictor(model, { ...load, method, multiple, maxLength, adapter }, data);
  }
}
