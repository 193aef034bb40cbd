/** @file Finds SMILES in the data that are no molecules. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import { loadRdkit } from './rdkit.ts';

/**
 * The records whose SMILES are molecules by RDKit: letters that close their rings, valences that can be.
 *
 * @param illegal what becomes of the others: an error, or they are left out with a warning
 * @param column the column that they are in, for messages
 * @throws OnnxLoraError `DATA_INVALID`, naming the row of the first that is none
 */
export async function checkMolecules(
  records: readonly SequenceRecord[],
  illegal: 'error' | 'skip' = 'error',
  column?: string,
): Promise<{ readonly records: readonly SequenceRecord[]; readonly warnings: readonly string[] }> {
  const rdkit = await loadRdkit();
  const bad: string[] = [];
  const mixed: SequenceRecord[] = [];
  const good = records.filter((record) => {
    const { sequence, where } = record;
    try {
      rdkit.withMolecule(sequence, () => undefined);
    } catch (cause) {
      if (!(cause instanceof OnnxLoraError) || cause.code !== 'DATA_INVALID') throw cause;
      const message = `${where}${column === undefined ? '' : `, column "${column}"`}: ${cause.message}`;
      if (illegal === 'error') throw new OnnxLoraError('DATA_INVALID', message, { cause });
      bad.push(message);
      return false;
    }
    if (sequence.includes('.')) mixed.push(record);
    return true;
  });
  const warnings = [
    ...(bad.length > 0 ? [`${bad.length} records are no molecules and are left out, such as ${bad[0]}`] : []),
    ...(mixed.length > 0
      ? [
          `${mixed.length} of ${records.length} molecules have several parts, such as the salt or mixture ${mixed[0]!.sequence.slice(0, 80)} (${mixed[0]!.where}). They are taken as they are; write the part that matters alone if the others do not.`,
        ]
      : []),
  ];
  return { records: good, warnings };
}
