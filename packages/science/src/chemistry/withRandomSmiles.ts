/** @file More training data from the same molecules, written in other ways. */

import { drawSeed } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import { randomSmiles } from './randomSmiles.ts';
import { loadRdkit } from './rdkit.ts';

/**
 * The records, and each of them again in so many other ways to write its molecule: for training, never for what is measured on.
 * The same seed gives the same ways.
 *
 * @example
 * const data = await readSequenceData('esol.csv', { validation: 0.2 });
 * const task = sequenceRegression({ ...data, train: await withRandomSmiles(data.train, { times: 4 }) });
 *
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
export async function withRandomSmiles(
  records: readonly SequenceRecord[],
  { times = 4, seed = 0 }: { readonly times?: number; readonly seed?: number } = {},
): Promise<SequenceRecord[]> {
  const rdkit = await loadRdkit();
  return records.flatMap((record, i) => [
    record,
    ...Array.from({ length: times }, (_, time) => ({
      ...record,
      id: `${record.id}#${time + 1}`,
      sequence: randomSmiles(rdkit, record.sequence, drawSeed(seed, i * times + time)),
    })),
  ]);
}
