/** @file Reads the records of files that are no tables, one by one. */

import { type OpenBytes, textOf } from './openBytes.ts';
import { parseA3m } from './formats/a3m.ts';
import { parseFasta } from './formats/fasta.ts';
import { parseFastq } from './formats/fastq.ts';
import { parsePlainLines } from './formats/plainLines.ts';
import { parseStockholm } from './formats/stockholm.ts';
import { headerFacts } from './headerFacts.ts';
import type { SequenceFormat } from './sequenceFormat.ts';
import type { SequenceRecord } from './sequenceRecord.ts';

/** Formats whose records stand by themselves. */
export type RecordFormat = Exclude<SequenceFormat, 'csv' | 'tsv' | 'jsonl'>;

/**
 * The records of a file that is no table.
 *
 * @param illegal what becomes of characters that are no residues: an error at the line, or they are kept to be looked at later
 * @throws OnnxLoraError `DATA_INVALID`, naming the line and the remedy
 */
export async function* sequenceRecords(
  { name, bytes }: Pick<OpenBytes, 'name' | 'bytes'>,
  format: RecordFormat,
  illegal: 'error' | 'keep' = 'error',
): AsyncGenerator<SequenceRecord> {
  const text = textOf(bytes);
  const placed = (line: number, id: string): string => `${name}, line ${line} (${id.slice(0, 60)})`;
  if (format === 'lines') {
    for await (const { sequence, id, line } of parsePlainLines(text, name))
      yield { id: id ?? String(line), sequence, where: `${name}, line ${line}` };
    return;
  }
  if (format === 'stockholm') {
    for await (const { id, sequence, structure, family, line } of parseStockholm(text, name, { illegal })) {
      const residues = structure === undefined ? undefined : [...structure];
      yield {
        id,
        sequence,
        ...(family === undefined ? {} : { labels: [family] }),
        ...(residues ? { residues } : {}),
        where: placed(line, id),
      };
    }
    return;
  }
  const parsed =
    format === 'fastq'
      ? parseFastq(text, name)
      : format === 'a3m'
        ? parseA3m(text, name, { illegal })
        : parseFasta(text, name, { illegal });
  for await (const { id, description, sequence, line } of parsed) {
    const where = placed(line, id);
    yield { id, sequence, ...headerFacts(description, where), where };
  }
}
