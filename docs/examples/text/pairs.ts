/** @file Pairs of texts from a table: what means the same, or how much it does. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { cellNumber, cellSplit, cellText, readTable, type Row, type Split } from '@onnx-lora/sdk/data';

/** One row. */
export interface TextPair {
  /** The text, its partner, and where there is one a text that is near and yet wrong. */
  readonly texts: readonly string[];
  /** How alike text and partner are, from 0 to 1. */
  readonly score?: number;
  readonly split?: Split;
  /** `pairs.csv, line 12`. */
  readonly place: string;
}

/**
 * The pairs of a table with the columns `text`, `positive` and, as it has them, `negative` or `score`, and `split`.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming line and column
 */
export async function readPairs(file: string): Promise<TextPair[]> {
  const { rows, columns } = await readTable(file);
  const missing = ['text', 'positive'].find((name) => !columns.includes(name));
  if (missing !== undefined)
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column "${missing}". Name its columns text and positive.`,
    );
  const [hasNegatives, hasScores] = ['negative', 'score'].map((name) => columns.includes(name));
  if (hasNegatives && hasScores)
    throw new OnnxLoraError('DATA_INVALID', `"${file}" has both negatives and scores. Leave one column out.`);
  const texts = ['text', 'positive', ...(hasNegatives ? ['negative'] : [])];
  return rows.map((row) => {
    const split = cellSplit(row, 'split');
    return {
      texts: texts.map((name) => textIn(row, name)),
      ...(hasScores && { score: scoreIn(row) }),
      ...(split && { split }),
      place: row.place,
    };
  });
}

function textIn(row: Row, column: string): string {
  const text = cellText(row, column);
  if (text !== undefined) return text;
  throw new OnnxLoraError('DATA_INVALID', `${row.place}, column "${column}" is empty. Fill it in, or remove the line.`);
}

function scoreIn(row: Row): number {
  const score = cellNumber(row, 'score');
  if (score >= 0 && score <= 1) return score;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${row.place}, column "score" is ${score}. Divide scores by the highest there can be, so that they lie from 0 to 1.`,
  );
}
