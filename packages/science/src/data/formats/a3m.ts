/** @file Reads A3M alignments: FASTA where lower case and dots are insertions against the first sequence. */

import { type FastaOptions, type FastaRecord, parseFasta } from './fasta.ts';
import type { TextPieces } from './textLines.ts';

/** How an alignment is read. */
export interface A3mOptions extends FastaOptions {
  /**
   * `ungapped` (the default) gives each sequence as it is in nature: insertions in capitals, gaps left out. `aligned` gives the
   * columns of the first sequence: insertions left out, gaps kept.
   */
  readonly form?: 'ungapped' | 'aligned' | undefined;
}

/** Rows of HH-suite's files that are no sequences: predicted and known structure, and confidences. */
const ANNOTATION = /^(?:ss_(?:pred|conf|dssp)|sa_(?:pred|dssp)|aa_(?:pred|conf))$/;

/**
 * The sequences of A3M text that comes in pieces cut anywhere. Rows with predicted structure are left out.
 *
 * @param name what the text is called in errors: the file's path
 * @throws OnnxLoraError `DATA_INVALID`, as `parseFasta` does
 */
export async function* parseA3m(
  chunks: TextPieces,
  name: string,
  { form = 'ungapped', illegal }: A3mOptions = {},
): AsyncGenerator<FastaRecord> {
  // Confidences are digits; they are passed over, so that letters are looked at here.
  for await (const record of parseFasta(chunks, name, { illegal, isPassedOver: ({ id }) => ANNOTATION.test(id) })) {
    const { sequence } = record;
    const text =
      form === 'aligned' ? sequence.replaceAll(/[a-z.]/g, '') : sequence.replaceAll(/[-.]/g, '').toUpperCase();
    yield { ...record, sequence: text };
  }
}
