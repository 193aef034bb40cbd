/** @file What answers about each residue, whatever the answer is. */

import {
  JoinedWindows,
  type PartAnswer,
  type Prediction,
  type Predictor,
  type RunnableModel,
} from '@onnx-lora/sdk/tasks';
import { openHead, type SequenceRow, tokenOutput } from '@onnx-lora/sequences';
import { sequenceDomain } from '../../domain.ts';
import { perLetter, requireLetters } from './residueTargets.ts';
import type { SequencePredictorOptions } from '../../domain.ts';

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
        const byToken = tokenAnswers(rows, { output, outputs, valuesOf });
        return shown(perLetter(sequence, input.tokenizer, (token) => byToken.get(token)));
      };
    },
  );
}

/** The mean answer about each token, over windows and adapters. */
function tokenAnswers(
  rows: readonly Pick<SequenceRow, 'row' | 'members'>[],
  {
    output,
    outputs,
    valuesOf,
  }: Pick<ResidueAnswers, 'valuesOf'> & { readonly output: string; readonly outputs: number },
): ReadonlyMap<number, Float64Array> {
  const found = new Map<number, Float64Array>();
  const joined = new JoinedWindows((_, answers) => {
    for (const { part, values } of answers) found.set(part, values);
  });
  const members = rows[0]!.members.length;
  for (const { row, members: each } of rows) {
    for (const member of each) {
      const scores = tokenOutput(member, output, outputs);
      const answers = Array.from({ length: row.count }, (__, i): PartAnswer => {
        return { part: row.from + i, truth: Number.NaN, values: valuesOf(scores.at(0, row.at + i)) };
      });
      joined.add({ record: 0, windows: rows.length * members, answers });
    }
  }
  return found;
}
