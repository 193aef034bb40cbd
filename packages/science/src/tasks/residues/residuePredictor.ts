/** @file What answers about each residue, whatever the answer is. */

import type { Prediction, Predictor, RunnableModel } from '@onnx-lora/sdk/tasks';
import { answersByToken, openHead } from '@onnx-lora/sequences';
import { sequenceDomain, type SequencePredictorOptions } from '../../domain.ts';
import { perLetter, requireLetters } from './residueTargets.ts';

/** What a task makes of the scores of residues. */
export interface ResidueAnswers {
  /** What the scores of a residue say: probabilities, or numbers. Those of windows and adapters are averaged. */
  readonly valuesOf: (scores: Float32Array) => Float64Array;
  /** The prediction, without what the record is called; undefined for letters without an answer. */
  readonly shown: (letters: readonly (Float64Array | undefined)[]) => Prediction;
}

/**
 * As `openHead`, about each residue of sequences. Long sequences are read in windows, unless `tooLong` says otherwise.
 *
 * @param noun what it answers with, for errors: `classes`
 * @param made asked with the number of outputs of the head
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a head for residues, or whose tokens are several letters
 */
export function residuePredictor(
  model: RunnableModel,
  options: SequencePredictorOptions,
  noun: string,
  made: (outputs: number) => ResidueAnswers,
): Promise<Predictor> {
  return openHead(
    sequenceDomain,
    model,
    options,
    { noun, each: (tokenizer) => requireLetters(model.name, tokenizer) },
    ({ input, output, outputs }) => {
      const { valuesOf, shown } = made(outputs);
      return ({ sequence }, rows) => {
        const byToken = answersByToken(rows, { output, outputs, valuesOf });
        return shown(perLetter(sequence, input.tokenizer, (token) => byToken.get(token)));
      };
    },
  );
}
