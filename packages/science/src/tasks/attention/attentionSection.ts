/** @file What a report shows of attention over sequences. */

import type { ReportLetters, ReportRequest, ReportSection } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { AttentionReader, attentionValues } from './attentionOver.ts';

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
  const reader = await AttentionReader.open(model, { ...options, adapter, tokenizer, maxLength });
  try {
    const rows: ReportLetters[] = [];
    for (const { title, sequence } of sequences) {
      const { shares, special } = await reader.over(sequence);
      const most = Math.max(...shares.map((share) => share ?? 0), Number.MIN_VALUE);
      const own = `${title}; ${(100 * special).toFixed(0)}% of the attention is on special tokens`;
      rows.push({ title: own, text: sequence, values: shares.map((share) => (share ?? 0) / most) });
    }
    return [
      {
        kind: 'letters',
        title: 'Attention',
        text: 'Where the last layer looks, with the adapter: the mean over its heads and over the tokens that attend, the letter with the most in full colour. It says what is read, which need not be why the answer is what it is.',
        rows,
      },
    ];
  } finally {
    await reader.release();
  }
}
