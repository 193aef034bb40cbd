/** @file What a model says of each token of a sequence that nobody has labelled. */

import { JoinedWindows, type PartAnswer } from '@onnx-lora/sdk/tasks';
import { tokenOutput } from '../outputOfTokens.ts';
import type { SequenceRow } from '../records/sequencePredictor.ts';

/**
 * The mean answer about each token of a sequence, over its windows and over adapters.
 *
 * @param valuesOf what the scores of a token say: probabilities, or numbers
 */
export function answersByToken(
  rows: readonly Pick<SequenceRow, 'row' | 'members'>[],
  {
    output,
    outputs,
    valuesOf,
  }: {
    readonly output: string;
    readonly outputs: number;
    readonly valuesOf: (scores: Float32Array) => Float64Array;
  },
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
