/** @file Masked-language modelling for the command line. */

import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import { sequenceFactory, sequenceSettings } from '../sequenceTaskFactory.ts';
import { maskedLanguageModelling, type MaskedLanguageModellingOptions } from './maskedLanguageModelling.ts';
import { openPerplexity } from './openPerplexity.ts';

/** Makes `masked-language-modelling` tasks, and what says how well a model knows sequences, see {@link openPerplexity}. */
export const maskedLanguageModellingFactory: TaskFactory = sequenceFactory<MaskedLanguageModellingOptions>({
  name: 'masked-language-modelling',
  description:
    'Goes on with what the model was pre-trained on, with sequences of your own; the data is sequences without labels.',
  // Little is learned of a sequence at a time, and much of it is known: more of them at once, and fewer rounds.
  defaults: { batchSize: 16, epochs: 3, lr: 1e-3, warmupSteps: 0.05 },
  settings: {
    rate: {
      kind: 'number',
      above: 0,
      max: 1,
      description: 'Share of tokens that are to be guessed; 0.15 by default.',
    },
    masked: { kind: 'number', min: 0, max: 1, description: 'Of these, the share that is masked; 0.8 by default.' },
    random: {
      kind: 'number',
      min: 0,
      max: 1,
      description: 'And the share that becomes a random token; 0.1 by default.',
    },
    spanLength: {
      kind: 'number',
      min: 1,
      description: 'Masks spans of about this length, such as 5, not single tokens.',
    },
    dynamic: {
      name: 'fixedMasks',
      kind: 'flag',
      to: (fixed) => !fixed,
      description: 'Each sequence has the same masks whenever it is trained on.',
    },
    ...sequenceSettings,
  },
  task: maskedLanguageModelling,
  predictor: (model, options, { rate, masked, random, spanLength, dynamic: _, maxLength, tooLong, overlap, ...data }) =>
    openPerplexity(model, { ...options, data, maxLength, tooLong, overlap, rate, masked, random, spanLength }),
});
