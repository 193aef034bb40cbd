/** @file What tasks on labelled sequences are trained with where the user says nothing. */

import type { TaskFactory } from '@onnx-lora/sdk/plugin';

/**
 * Batches of 8, as Schmirler et al. have them: sequences are long, and data sets of measurements small. Their learning rate is
 * 3e-4 for models of 8 million parameters and more; small models learn as well with 1e-3. A new head starts as a probe, so that
 * few epochs are enough where data are many. Sequences of like length come together, so that little of a batch is padding.
 *
 * @see Schmirler, Heinzinger, Rost: Fine-tuning protein language models boosts predictions across diverse tasks, 2024
 */
export const sequenceDefaults: NonNullable<TaskFactory['defaults']> = {
  batchSize: 8,
  epochs: 5,
  lr: 5e-4,
  warmupSteps: 0.1,
  sampling: 'length',
};
