/** @file Zero-shot variant effects for the command line. */

import { type Predictor, requireNamedAdapters, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { variantPredictor } from './variantPredictor.ts';
import { variantEffect } from './variantEffect.ts';
import { multipleSetting, scoringFrom, scoringSettings } from './variantSettings.ts';

/** The task `variant-effect`: it measures and answers, and has nothing to learn. */
export class VariantEffectFactory implements TaskFactory {
  readonly name = 'variant-effect';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'Scores of variants by a protein language model that has seen no measurement; to measure and predict with, not to train.';
  readonly settings: readonly TaskSetting[] = [
    ...scoringSettings,
    multipleSetting,
    {
      name: 'value',
      kind: 'text',
      description: 'Which measurement scores are compared with, where there are several.',
    },
    ...dataSettings,
  ];

  /** The task on the data. */
  create({ data, validation, seed, settings }: TaskOptions): Task {
    const value = settings?.['value'];
    return variantEffect(data, {
      ...dataOptions(settings),
      ...scoringFrom(settings),
      ...(validation === undefined ? {} : { validation }),
      ...(value === undefined ? {} : { value: String(value) }),
      seed,
    });
  }

  /** Answers `{ id, score }` for each variant of a table of mutations, or of a file of sequences. */
  async predictor(
    model: RunnableModel,
    { settings, adapter, adapters, load }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(adapters);
    const scoring = { ...load, ...scoringFrom(settings), adapter };
    return variantPredictor(model, scoring, dataOptions(settings));
  }
}
