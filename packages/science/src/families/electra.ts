/** @file The family ELECTRA. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { classifierNames, encoderModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

/** ELECTRA as transformers writes it, 4 and 5 alike; ProtElectra is one. */
export const electra: DescribedFamily = scienceFamily({
  name: 'electra',
  title: 'ELECTRA',
  paper:
    'Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators" (2020), arXiv:2003.10555',
  modelTypes: ['electra'],
  signatures: [['^electra.encoder.layer.{n}.attention.self.query']],
  names: {
    ...encoderModules,
    'embedding.projection': ['embeddings_project'],
    head: [
      '^generator_predictions.dense',
      '^generator_lm_head',
      '^discriminator_predictions.dense',
      '^discriminator_predictions.dense_prediction',
      ...classifierNames,
    ],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['ElectraTokenizer'],
});
