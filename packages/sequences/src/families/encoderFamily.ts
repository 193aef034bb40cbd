/** @file Common properties of encoder families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition } from '@onnx-lora/sdk/plugin';

/** Facts of a family; tasks default to {@link maskedTasks}. */
type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** A family of encoders, from its facts. */
export function encoderFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: maskedTasks, ...facts, domain: 'text' });
}

/** What an encoder of proteins, DNA or molecules is trained and used for, the usual first. */
export const sequenceTasks: readonly string[] = [
  'sequence-classification',
  'sequence-regression',
  'sequence-labelling',
  'residue-classification',
  'residue-regression',
  'sequence-embedding',
  'sequence-retrieval',
  'mutation-scan',
];

/** What an encoder of any sequences is: which letters or words it reads is not told by its family. */
export const encoderTasks: readonly string[] = [
  'text-classification',
  'text-regression',
  'text-labelling',
  'token-classification',
  'text-embedding',
  'text-retrieval',
  ...sequenceTasks,
];

/** Tasks of encoders that also guess masked letters. */
const maskedTasks: readonly string[] = [...encoderTasks, 'masked-language-modelling', 'variant-effect'];
