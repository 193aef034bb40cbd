/** @file Streams sequence records of files and pipes. */

import { openTable, type Row, type Table } from '@onnx-lora/sdk/data';
import { type OpenBytes, openBytes } from '@onnx-lora/sequences';
import { alphabetsOf, SequenceSpeller } from './letters.ts';
import { formatOf, isTable } from './sequenceFile.ts';
import type { Alphabet, SequenceDataOptions, SequencePart, SequenceRecord } from './sequenceRecord.ts';
import { sequenceRecords } from './sequenceRecords.ts';
import { RowReader } from './table/rowReader.ts';
import { findColumns } from './table/sequenceColumns.ts';
import { alphabetOf } from './table/tableRecords.ts';
import { comparedWith, givenWildType, type WildType, wildTypeBeside } from './wildType.ts';

export { sequenceEndings } from './sequenceFile.ts';

/** A record and the reading progress. */
export interface StreamedSequence {
  /** The sequence with its fields. */
  readonly record: SequenceRecord;
  /** Bytes of the source read so far, before decompression. */
  readonly read: number;
  /** Size of the source in bytes, if known. */
  readonly total?: number;
  /** The wild type that substitutions refer to. */
  readonly wildType?: string;
}

/** Records inspected to find columns and alphabet. */
const LOOKED_AT = 200;

/**
 * Streams the records of a file or of bytes, in order and a few at a time. Targets are not read; ids may repeat.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming row, column and remedy
 */
export async function* streamSequences(
  source: string | AsyncIterable<Uint8Array>,
  options: SequenceDataOptions = {},
): AsyncGenerator<StreamedSequence> {
  const given = options.wildType === undefined ? undefined : await givenWildType(options.wildType);
  const open = await openBytes(source);
  const format = formatOf(open.name, open.head);
  const wildType = given ?? (isTable(format) && typeof source === 'string' ? await wildTypeBeside(source) : undefined);
  const stream = isTable(format)
    ? await tableStream(await openTable(open.name, open.bytes, format), open, options, wildType)
    : {
        records: sequenceRecords(open, format, options.illegal === 'skip' ? 'keep' : 'error'),
        wildType: () => given?.sequence,
        part: {},
      };
  yield* spelled(stream, open, options);
}

interface RecordStream {
  readonly records: AsyncGenerator<SequenceRecord>;
  readonly wildType: () => string | undefined;
  readonly part: Pick<SequencePart, 'columns'> & { readonly alphabet?: Alphabet | undefined };
}

async function* spelled(
  { records, wildType, part }: RecordStream,
  { read, total }: OpenBytes,
  options: SequenceDataOptions,
): AsyncGenerator<StreamedSequence> {
  try {
    const first = await firstOf(records);
    const alphabets = alphabetsOf([{ ...part, records: first, warnings: [] }], options.alphabet);
    const speller = new SequenceSpeller(alphabets, options.illegal);
    async function* all(): AsyncGenerator<SequenceRecord> {
      yield* first;
      yield* records;
    }
    for await (const record of all()) {
      const spelled = speller.spell(record, part);
      if (!spelled) continue;
      const wild = wildType();
      yield {
        record: comparedWith(wild, spelled),
        read: read(),
        ...(total === undefined ? {} : { total }),
        ...(wild === undefined ? {} : { wildType: wild }),
      };
    }
  } finally {
    await records.return(undefined);
  }
}

async function tableStream(
  { columns: names, rows }: Awaited<ReturnType<typeof openTable>>,
  { name: file }: OpenBytes,
  { columns, firstPosition }: SequenceDataOptions,
  wildType: WildType | undefined,
): Promise<RecordStream> {
  try {
    const first = await firstOf(rows);
    const table: Table = { file, columns: names, rows: first };
    const found = findColumns(table, columns, [], wildType?.sites !== undefined);
    const reader = new RowReader({ columns: found, wildType, firstPosition });
    async function* records(): AsyncGenerator<SequenceRecord> {
      try {
        for (const row of first) yield reader.read(row, false);
        for await (const row of rows) yield reader.read(row, false);
      } finally {
        await rows.return();
      }
    }
    return {
      records: records(),
      wildType: () => reader.wildType,
      part: {
        alphabet: alphabetOf(found),
        columns: { sequence: found.sequence ?? found.mutations ?? found.sites, second: found.second },
      },
    };
  } catch (cause) {
    await rows.return();
    throw cause;
  }
}

/** Takes the first items without closing the generator. */
async function firstOf<T extends SequenceRecord | Row>(items: AsyncGenerator<T, void>): Promise<T[]> {
  const first: T[] = [];
  while (first.length < LOOKED_AT) {
    const { value, done } = await items.next();
    if (done) break;
    first.push(value as T);
  }
  return first;
}
