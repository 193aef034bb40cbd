/** @file Masked-language modelling for the command line. */

import type { AnsweringFactory } from '@onnx-lora/sdk/tasks';
import { maskedFactory } from '@onnx-lora/sequences';
import { sequenceDomain } from '../../domain.ts';
import { maskedLanguageModelling } from './maskedLanguageModelling.ts';

/** Makes `masked-language-modelling` tasks, and what says how well a model knows sequences, see {@link openPerplexity}. */
export const maskedLanguageModellingTask: AnsweringFactory = maskedFactory(sequenceDomain, {
  name: 'masked-language-modelling',
  description:
    'Goes on with what the model was pre-trained on, with sequences of your own; the data is sequences without labels.',
  task: maskedLanguageModelling,
});
