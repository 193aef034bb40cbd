/** @file Says of sequences how well a model knows them. */

import type { Adapter, RecordAnswerer, RunnableModel } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/core';
import { tokenOutput } from '../outputOfTokens.ts';
import { recordAnswers } from '../records/recordAnswers.ts';
import type { SequenceAnswererOptions } from '../records/sequenceAnswerer.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import type { TokenRow } from '../sequenceTask.ts';
import { fixedSeed } from './fixedSeed.ts';
import { GuessSums } from './guessSums.ts';
import { Masking, type MaskingOptions, NOT_ASKED } from './masking.ts';
import { maskedPort } from './maskedPort.ts';

/** A row of which some tokens are masked. */
interface MaskedTokenRow extends TokenRow {
  readonly labels: readonly number[];
}

/** Options of {@link openPerplexity}. */
export interface PerplexityOptions extends Omit<SequenceAnswererOptions, 'adapters'>, MaskingOptions {
  /** The base alone without one. */
  readonly adapter?: Adapter | undefined;
}

/**
 * Loads a model that answers `{ id, perplexity, accuracy, masked }` about each sequence of a file: how it guesses `masked` tokens
 * of it, the same each time. Low perplexities are of sequences like those that it was trained on.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not guess masked tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND` of
 *   its tokenizer
 */
export async function openPerplexity(
  model: RunnableModel,
  { adapter, load, data, rate, masked, random: replaced, spanLength, ...options }: PerplexityOptions = {},
): Promise<RecordAnswerer & AsyncDisposable> {
  const input = await openSequenceInput(model, options);
  const { output, size } = maskedPort(model, input.tokenizer);
  const masking = new Masking(input.tokenizer, { rate, masked, random: replaced, spanLength });
  return recordAnswers({
    model,
    input,
    ...(adapter && { adapters: [adapter] }),
    load,
    data,
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
