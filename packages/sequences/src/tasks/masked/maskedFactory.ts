/** @file Masked-language modelling for the command line. */

import type { AnsweringFactory } from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { GivenOptions, SettingRows } from '@onnx-lora/sdk/plugin';
import type { SequenceDomain } from '../../domain.ts';
import type { SequenceRecord } from '../../record.ts';
import { lengthSettings, type SequenceFactory, sequenceFactory } from '../sequenceTaskFactory.ts';
import type { MaskedModellingOptions } from './maskedModelling.ts';
import { maskingSettings } from './masking.ts';
import { openGuesser } from './openGuesser.ts';

/** Makes tasks of masked-language modelling on sequences of a domain, and what says how well a model knows them. */
export function maskedFactory<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  factory: Pick<SequenceFactory<Options & MaskedModellingOptions>, 'name' | 'description' | 'task'>,
): AnsweringFactory {
  const settings: SettingRows<MaskedModellingOptions> = {
    ...maskingSettings,
    dynamic: {
      name: 'fixedMasks',
      kind: 'flag',
      to: (fixed) => !fixed,
      description: `Each ${domain.one} has the same masks whenever it is trained on.`,
    },
    ...lengthSettings,
  };
  return sequenceFactory<Options & MaskedModellingOptions>(domain, {
    ...factory,
    // Little is learned of a sequence at a time, and much of it is known: more of them at once, and fewer rounds.
    defaults: { batchSize: 16, epochs: 3, lr: 1e-3, warmupSteps: 0.05 },
    settings: { ...settings, ...domain.settings } as SettingRows<Options & MaskedModellingOptions>,
    predictor: (model, options, given) => {
      const {
        rate,
        masked,
        random,
        spanLength,
        dynamic: _,
        maxLength,
        tooLong,
        overlap,
        ...data
      } = given as GivenOptions<MaskedModellingOptions>;
      const own = data as unknown as Partial<Options>;
      return openGuesser(domain, model, { ...options, data: own, maxLength, tooLong, overlap, rate, masked, random, spanLength }); // prettier-ignore
    },
  });
}
