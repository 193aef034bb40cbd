/** @file Streams records of files other than tables. */

import { parseA3m, parseFasta } from './formats/fasta.ts';
import { parseFastq } from './formats/fastq.ts';
import { parseStockholm } from './formats/stockholm.ts';
import type { SequenceRecord } from './sequenceRecord.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Split, splitNames, textLines, textOf, type TextPieces } from '@onnx-lora/sdk/data';
import { isMissing, numberOf } from '@onnx-lora/sequences';

interface RecordFormat {
  /** Lower case, with the dot. */
  readonly endings: readonly string[];
  /** Parses text whose chunks may be cut anywhere; errors call it `name`. */
  readonly records: (text: TextPieces, name: string, options: ParseOptions) => AsyncIterable<ParsedRecord>;
}

interface ParseOptions {
  /** Illegal characters: an error at their line, or kept for a later check. */
  readonly illegal: 'error' | 'keep';
}

interface ParsedRecord {
  /** The line number by default. */
  readonly id?: string;
  readonly sequence: string;
  /** The header after the id. */
  readonly description?: string;
  readonly structure?: string;
  readonly family?: string;
  /** From 1. */
  readonly line: number;
}

/** Formats of self-contained records; `lines` has one per line. */
type RecordFormats = 'fasta' | 'fastq' | 'a3m' | 'stockholm' | 'lines';

/** Parser of each format. */
export const recordFormats: Readonly<Record<RecordFormats, RecordFormat>> = {
  fasta: { endings: ['.fasta', '.fa', '.faa', '.fna', '.ffn', '.fas', '.afa'], records: parseFasta },
  fastq: { endings: ['.fastq', '.fq'], records: parseFastq },
  a3m: { endings: ['.a3m'], records: parseA3m },
  stockholm: { endings: ['.sto', '.stockholm', '.stk'], records: parseStockholm },
  lines: { endings: ['.smi', '.smiles', '.seq'], records: parsePlainLines },
};

/** Illegal characters throw at their line, or are kept for a later check. */
export async function* sequenceRecords(
  { name, bytes }: { readonly name: string; readonly bytes: AsyncIterable<Uint8Array> },
  format: RecordFormats,
  illegal: 'error' | 'keep' = 'error',
): AsyncGenerator<SequenceRecord> {
  const records = recordFormats[format].records(textOf(name, bytes), name, { illegal });
  for await (const { id, sequence, description = '', structure, family, line } of records) {
    const where = `${name}, line ${line}${id === undefined ? '' : ` (${id.slice(0, 60)})`}`;
    yield {
      id: id ?? String(line),
      sequence,
      ...headerFacts(description, where),
      ...(family === undefined ? {} : { labels: [family] }),
      ...(structure === undefined ? {} : { residues: [...structure] }),
      where,
    };
  }
}

/**
 * Streams a list with a sequence and an optional name per line; skips empty lines and `#` lines.
 * @throws OnnxLoraError `DATA_INVALID` for an empty list
 */
export async function* parsePlainLines(chunks: TextPieces, name: string): AsyncGenerator<ParsedRecord> {
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

/** @throws OnnxLoraError `DATA_INVALID` for an unknown split */
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
