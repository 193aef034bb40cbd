/** @file Reads the records of files that are no tables, one by one. */

import { type OpenBytes, type SequenceFormat } from './sequenceFile.ts';
import { parseA3m, parseFasta } from './formats/fasta.ts';
import { parseFastq } from './formats/fastq.ts';
import { parseStockholm } from './formats/stockholm.ts';
import type { SequenceRecord } from './sequenceRecord.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Split, splitNames, textLines, textOf, type TextPieces } from '@onnx-lora/sdk/data';
import { isMissing, numberOf } from './table/columnContents.ts';

/** Formats whose records stand by themselves. */
type RecordFormat = Exclude<SequenceFormat, 'csv' | 'tsv' | 'jsonl'>;

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

/** A line of a list. */
interface PlainRecord {
  readonly sequence: string;
  /** What follows the sequence after a blank. */
  readonly id?: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The sequences of a list; empty lines and those that begin with `#` are passed over.
 *
 * @throws OnnxLoraError `DATA_INVALID` when there are none
 */
export async function* parsePlainLines(chunks: TextPieces, name: string): AsyncGenerator<PlainRecord> {
  let number = 0;
  let count = 0;
  for await (const line of textLines(`"${name}"`, chunks)) {
    number++;
    const [, sequence, id] = /^(\S+)\s*([^]*)$/.exec(line.trim()) ?? [];
    if (sequence === undefined || sequence.startsWith('#')) continue;
    count++;
    yield { sequence, ...(id ? { id } : {}), line: number };
  }
  if (count === 0)
    throw new OnnxLoraError('DATA_INVALID', `"${name}" holds no sequence. Check that it is the right file.`);
}

const FACT = /(?:^|\s)(SET|SPLIT|TARGET|LABEL|VALUE|VALIDATION|GROUP|CLUSTER)=(\S+)/gi;

/**
 * The split, label, number and group that a header names.
 *
 * @param where the record, for messages
 * @throws OnnxLoraError `DATA_INVALID` for a split that is none
 */
export function headerFacts(description: string, where: string): Partial<SequenceRecord> {
  const facts = new Map([...description.matchAll(FACT)].map(([, key, value]) => [key!.toUpperCase(), value!]));
  if (facts.size === 0) return {};
  const split = splitOf(facts, where);
  const target = facts.get('TARGET') ?? facts.get('LABEL') ?? facts.get('VALUE');
  const value = target === undefined ? undefined : isMissing(target) ? NaN : numberOf(target);
  const group = facts.get('GROUP') ?? facts.get('CLUSTER');
  return {
    ...(split === undefined ? {} : { split }),
    ...(target === undefined || isMissing(target) ? {} : { labels: [target] }),
    ...(value === undefined ? {} : { values: [value] }),
    ...(group === undefined ? {} : { group }),
  };
}

function splitOf(facts: ReadonlyMap<string, string>, where: string): Split | undefined {
  const word = facts.get('SET') ?? facts.get('SPLIT');
  if (word === undefined) return undefined;
  const split = splitNames.get(word.toLowerCase());
  if (split === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${where}: the header names the split ${JSON.stringify(word)}. Splits are train, validation and test; correct it.`,
    );
  }
  return split === 'train' && /^true$/i.test(facts.get('VALIDATION') ?? '') ? 'validation' : split;
}
