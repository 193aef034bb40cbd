/** @file What a report shows of attention over sequences. */

import type { ReportLetters, ReportRequest, ReportSection } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import { attentionValues, openAttention } from './attentionOver.ts';

/** A sequence that is shown. */
export interface AttendedSequence {
  readonly title: string;
  readonly sequence: string;
}

/**
 * Sequences whose letters are coloured by the attention that they get in the last layer, with the adapter. None where the graph
 * does not show its attention.
 *
 * @param maxLength most tokens of a sequence
 */
export async function attentionSections(
  sequences: readonly AttendedSequence[],
  { model, adapter, options }: ReportRequest,
  { tokenizer, maxLength }: { readonly tokenizer: SequenceTokenizer; readonly maxLength?: number | undefined },
): Promise<readonly ReportSection[]> {
  if (sequences.length === 0 || attentionValues(model).length === 0) return [];
  const reader = await openAttention(model, { ...options, adapter, tokenizer, maxLength });
  try {
    const rows: ReportLetters[] = [];
    for (const { title, sequence } of sequences) {
      const { shares, special } = await reader.over(sequence);
      const known = shares.filter((share) => share !== undefined);
      const [least, most] = [Math.min(...known), Math.max(...known)];
      const colour = (share: number): number => (most > least ? (share - least) / (most - least) : 0);
      const own = `${title}; ${(100 * special).toFixed(0)}% of the attention is on special tokens`;
      rows.push({
        title: own,
        text: sequence,
        values: shares.map((share) => (share === undefined ? 0 : colour(share))),
      });
    }
    return [
      {
        kind: 'letters',
        title: 'Attention',
        text: 'Where the last layer looks, with the adapter: the mean over its heads and over the tokens that attend, from the letter with the least (no colour) to that with the most. It says what is read, which need not be why the answer is what it is.',
        rows,
      },
    ];
  } finally {
    await reader.release();
  }
}
