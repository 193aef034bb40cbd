/** @file Masked-language modelling for the command line. */

import type { AnsweringFactory } from '@onnx-lora/sdk/tasks';
import { sequenceFactory } from '@onnx-lora/sequences';
import { maskedLanguageModelling, type MaskedLanguageModellingOptions } from './maskedLanguageModelling.ts';
import { maskingSettings } from './masking.ts';
import { openPerplexity } from './openPerplexity.ts';
import { sequenceDomain, sequenceSettings } from '../../domain.ts';

/** Makes `masked-language-modelling` tasks, and what says how well a model knows sequences, see {@link openPerplexity}. */
export const maskedLanguageModellingTask: AnsweringFactory = sequenceFactory<MaskedLanguageModellingOptions>(
  sequenceDomain,
  {
    name: 'masked-language-modelling',
    description:
      'Goes on with what the model was pre-trained on, with sequences of your own; the data is sequences without labels.',
    // Little is learned of a sequence at a time, and much of it is known: more of them at once, and fewer rounds.
    defaults: { batchSize: 16, epochs: 3, lr: 1e-3, warmupSteps: 0.05 },
    settings: {
      ...maskingSettings,
      dynamic: {
        name: 'fixedMasks',
        kind: 'flag',
        to: (fixed) => !fixed,
        description: 'Each sequence has the same masks whenever it is trained on.',
      },
      ...sequenceSettings,
    },
    task: maskedLanguageModelling,
    predictor: (model, options, settings) => {
      const { rate, masked, random, spanLength, dynamic: _, maxLength, tooLong, overlap, ...data } = settings;
      return openPerplexity(model, { ...options, data, maxLength, tooLong, overlap, rate, masked, random, spanLength });
    },
  },
);
