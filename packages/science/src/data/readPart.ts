/** @file Reads a file of sequences, however it is written. */

import { extname } from 'node:path';
import { openTable, readTable, wholeTable } from '@onnx-lora/sdk/data';
import { openBytes } from './openBytes.ts';
import { formatOf, isTable } from './sequenceFormat.ts';
import type { SequencePart } from './sequencePart.ts';
import type { SequenceDataOptions } from './sequenceSource.ts';
import type { SequenceRecord } from './sequenceRecord.ts';
import { sequenceRecords } from './sequenceRecords.ts';
import { tableRecords } from './table/tableRecords.ts';
import { type WildType, wildTypeBeside } from './wildType.ts';

/**
 * The records of a file.
 *
 * @param wildType the wild type that the user gives; else it is looked for beside the file
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming row, column and remedy
 */
export async function readPart(
  file: string,
  options: SequenceDataOptions,
  wildType: WildType | undefined,
): Promise<SequencePart> {
  if (extname(file).toLowerCase() === '.json')
    return tableRecords(await readTable(file), options, wildType ?? (await wildTypeBeside(file)));
  const open = await openBytes(file);
  const format = formatOf(file, open.head);
  if (isTable(format)) {
    const table = await wholeTable(file, await openTable(file, open.bytes, format));
    return tableRecords(table, options, wildType ?? (await wildTypeBeside(file)));
  }
  const records: SequenceRecord[] = [];
  const illegal = options.illegal === 'skip' ? 'keep' : 'error';
  for await (const record of sequenceRecords(open, format, illegal)) records.push(record);
  const hasValues = records.every(({ values }) => values !== undefined);
  return {
    records,
    ...(hasValues ? { valueNames: ['TARGET'] } : {}),
    wildType: wildType?.sequence,
    splitBy: 'as the headers say',
    ...(format === 'lines' && /\.smi/i.test(file) ? { alphabet: 'smiles' } : {}),
    warnings: [],
  };
}
