/** @file Holds out the variants that are farthest from the wild type. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type RecordSplit, type SplitFacts, splitRecords } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import { sequenceKey, splitFacts } from './splitFacts.ts';

/**
 * Holds out the variants with most mutations, about `fraction` of all records: what is learned from few mutations is measured
 * on many. Where only some of the variants with one number of mutations have to go, chance decides which. Records of one
 * sequence stay together.
 *
 * @returns the split; how many mutations the held-out variants have at least; and whether all with as many are held out
 * @throws OnnxLoraError `DATA_INVALID` where a record does not say its mutations, naming it
 */
export function mutationSplit(
  records: readonly SequenceRecord[],
  fraction: number,
  seed: number,
): RecordSplit<SequenceRecord> & { readonly least: number; readonly isWhole: boolean } {
  const byCount = new Map<number, SequenceRecord[]>();
  for (const record of records) {
    if (!record.substitutions) throw noMutations(record);
    const { length } = record.substitutions;
    const level = byCount.get(length);
    if (level) level.push(record);
    else byCount.set(length, [record]);
  }
  const held = new Set<SequenceRecord>();
  let least = Infinity;
  for (const [count, level] of [...byCount].sort(([a], [b]) => b - a)) {
    const missing = Math.round(fraction * records.length) - held.size;
    if (missing <= 0) break;
    const isWhole = level.length <= missing && count > Math.min(...byCount.keys());
    const chosen = isWhole ? level : splitRecords(level, missing / level.length, seed, factsOf).held;
    if (chosen.length > 0) least = count;
    for (const record of chosen) held.add(record);
  }
  const kept = records.filter((each) => !held.has(each));
  const isWhole = kept.every(({ substitutions }) => substitutions!.length < least);
  return { kept, held: records.filter((each) => held.has(each)), least, isWhole };
}

const factsOf = (record: SequenceRecord): SplitFacts => splitFacts(record, sequenceKey(record));

function noMutations({ where }: SequenceRecord): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: no mutations are known of this sequence, which a split by mutations needs of each. Name the column that has them, such as "A123G:C130D", and the wild type, or split in another way (splitBy: 'random').`,
  );
}
