/** @file What FASTA headers say of sequences: `>id SET=train TARGET=0.5`, as biotrainer writes them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Split, splitNames } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from './sequenceRecord.ts';
import { isMissing, numberOf } from './table/numberCells.ts';

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
