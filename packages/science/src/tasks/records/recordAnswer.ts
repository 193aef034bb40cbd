/** @file The numbers that a record gets: the mean over its windows, and over the adapters that answer together. */

import { scoresOf } from '@onnx-lora/sdk';
import type { SequenceRow } from './sequencePredictor.ts';

/** Numbers, and how far adapters that answer together differ. */
export interface AveragedAnswer {
  readonly mean: readonly number[];
  /** Of each number; absent where one adapter answers. */
  readonly deviation?: readonly number[];
}

/**
 * Means, and deviations with the divisor n − 1.
 *
 * @param answerOf what a row of scores says: numbers or probabilities
 */
export function averagedAnswer(
  rows: readonly Pick<SequenceRow, 'members'>[],
  output: string,
  outputs: number,
  answerOf: (scores: Float32Array) => ArrayLike<number>,
): AveragedAnswer {
  const each = rows[0]!.members.map((_, member) =>
    meanOf(rows.map((row) => answerOf(scoresOf(row.members[member]!, output, outputs).data))),
  );
  const mean = meanOf(each);
  if (each.length === 1) return { mean };
  const deviation = mean.map((value, i) =>
    Math.sqrt(each.reduce((sum, own) => sum + (own[i]! - value) ** 2, 0) / (each.length - 1)),
  );
  return { mean, deviation };
}

function meanOf(rows: readonly ArrayLike<number>[]): number[] {
  return Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}
