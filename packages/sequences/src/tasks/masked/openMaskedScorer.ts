/** @file Predictor and factory of masked-language modelling. */

import type { AnsweringFactory, Predictor, RunnableModel } from '@onnx-lora/sdk/tasks';
import { type DivideOptions, Random } from '@onnx-lora/sdk/data';
import type { GivenOptions, SettingRows } from '@onnx-lora/sdk/plugin';
import type { SequenceDomain } from '../../domain.ts';
import type { SequenceRecord } from '../../record.ts';
import { tokenOutput } from '../outputOfTokens.ts';
import type { SequencePredictorOptions } from '../records/headPredictor.ts';
import { sequencePredictor } from '../records/sequencePredictor.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import type { TokenRow } from '../sequenceTask.ts';
import { lengthSettings, type SequenceFactory, sequenceFactory } from '../sequenceTaskFactory.ts';
import { fixedSeed, Masking, type MaskingOptions, maskingSettings, IGNORED_LABEL } from './masking.ts';
import { MaskedSums, maskedPort } from './maskedMetrics.ts';
import type { MaskedModellingOptions } from './maskedModelling.ts';

interface MaskedTokenRow extends TokenRow {
  readonly labels: readonly number[];
}

/** Options of {@link openMaskedScorer}. */
export type MaskedScorerOptions<Options = object> = Omit<SequencePredictorOptions<Options>, 'ensemble'> &
  MaskingOptions;

/**
 * Loads a scorer of sequence files: `{ id, perplexity, accuracy, masked }` over `masked` tokens of the sequence, the
 * same ones each time. Perplexity is low for sequences like the training data.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` without a masked-language head; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the
 * tokenizer
 */
export async function openMaskedScorer<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  { rate, masked, random: replaced, spanLength, ...options }: MaskedScorerOptions<Options> = {},
): Promise<Predictor> {
  const input = await openSequenceInput(model, options, domain);
  const { output, size } = maskedPort(model, input.tokenizer);
  const masking = new Masking(input.tokenizer, { rate, masked, random: replaced, spanLength });
  return sequencePredictor(domain, {
    ...options,
    model,
    input,
    outputs: [output],
    rows: (record) =>
      input.rows(record).map((row): MaskedTokenRow => {
        const random = new Random(fixedSeed(0, record.sequence, row.from));
        return { ...row, ...masking.mask(row.ids, random) };
      }),
    answers: ({ id }, rows) => {
      const guesses = new MaskedSums();
      for (const { row, found } of rows) {
        const scores = tokenOutput(found, output, size);
        for (const [at, token] of row.labels.entries())
          if (token !== IGNORED_LABEL) guesses.addScores(0, token, scores.at(0, at));
      }
      const { perplexity, accuracy } = guesses.scores();
      return [{ id, perplexity, accuracy, masked: guesses.size.guesses }];
    },
  });
}

/** Factory of masked-language modelling tasks of a domain, with the scorer as predictor. */
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
    // A pass over a sequence teaches little: larger batches, fewer epochs.
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
      return openMaskedScorer(domain, model, { ...options, data: own, maxLength, tooLong, overlap, rate, masked, random, spanLength }); // prettier-ignore
    },
  });
}
