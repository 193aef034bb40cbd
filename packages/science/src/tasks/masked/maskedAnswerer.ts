/** @file Says of sequences how well a model knows them. */

import type { AnswererOptions, RecordAnswerer, RunnableModel } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/core';
import { dataOptions } from '../../data/dataSettings.ts';
import { tokenOutput } from '../outputOfTokens.ts';
import { answeringAdapters } from '../records/answeringAdapters.ts';
import { recordAnswers } from '../records/recordAnswers.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import { lengthOptions } from '../sequenceSettings.ts';
import type { TokenRow } from '../sequenceTask.ts';
import { fixedSeed } from './fixedSeed.ts';
import { GuessSums } from './guessSums.ts';
import { Masking, type MaskingOptions, NOT_ASKED } from './masking.ts';
import { maskedPort } from './maskedPort.ts';

/** A row of which some tokens are masked. */
interface MaskedTokenRow extends TokenRow {
  readonly labels: readonly number[];
}

/**
 * Answers `{ id, perplexity, accuracy, masked }`: how the model guesses `masked` tokens of a sequence, the same each time. Low
 * perplexities are of sequences like those that it was trained on.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not guess masked tokens; as `openSequenceInput`, `model.session`
 */
export async function maskedAnswerer(
  model: RunnableModel,
  { adapter, load, settings = {} }: AnswererOptions,
  options: MaskingOptions,
): Promise<RecordAnswerer> {
  const input = await openSequenceInput(model, lengthOptions(settings));
  const { output, size } = maskedPort(model, input.tokenizer);
  const masking = new Masking(input.tokenizer, options);
  return recordAnswers({
    model,
    input,
    adapters: await answeringAdapters(adapter),
    load,
    data: dataOptions(settings),
    outputs: [output],
    rows: (record) =>
      input.rows(record).map((row): MaskedTokenRow => {
        const random = new Random(fixedSeed(0, record.sequence, row.from));
        return { ...row, ...masking.mask(row.ids, random) };
      }),
    answer: ({ id }, rows) => {
      const guesses = new GuessSums();
      for (const { row, outputs } of rows) {
        const scores = tokenOutput(outputs, output, size);
        for (const [at, token] of (row as MaskedTokenRow).labels.entries())
          if (token !== NOT_ASKED) guesses.addScores(0, token, scores.at(0, at));
      }
      const { perplexity, accuracy } = guesses.scores();
      return [{ id, perplexity, accuracy, masked: guesses.size.guesses }];
    },
  });
}
