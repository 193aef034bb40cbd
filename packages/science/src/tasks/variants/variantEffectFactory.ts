/** @file Zero-shot variant effects for the command line. */

import {
  type AnswererOptions,
  type RecordAnswerer,
  type RunnableModel,
  type Task,
  type TaskFactory,
  type TaskOptions,
  type TaskSetting,
} from '@onnx-lora/sdk';
import { dataOptions, dataSettings } from '../../data/dataSettings.ts';
import { variantAnswerer } from './variantAnswerer.ts';
import { variantEffect } from './variantEffect.ts';
import { multipleSetting, scoringFrom, scoringSettings } from './variantSettings.ts';

/** The task `variant-effect`: it measures and answers, and has nothing to learn. */
export class VariantEffectFactory implements TaskFactory {
  readonly name = 'variant-effect';
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
  async recordAnswerer(
    model: RunnableModel,
    { settings, adapter, load }: AnswererOptions = {},
  ): Promise<RecordAnswerer> {
    const scoring = { ...load, ...scoringFrom(settings), adapter };
    return variantAnswerer(model, scoring, dataOptions(settings));
  }
}
