/** @file Common properties of encoder families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition } from '@onnx-lora/sdk/plugin';

type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** Defines an encoder family. */
export function encoderFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: maskedTasks, ...facts, domain: 'text' });
}

/** Tasks of encoders of proteins, DNA or molecules, the default first. */
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

/** Tasks of every encoder: its family does not tell whether it reads texts, proteins, DNA or molecules. */
export const encoderTasks: readonly string[] = [
  'text-classification',
  'text-regression',
  'text-labelling',
  'token-classification',
  'text-embedding',
  'text-retrieval',
  ...sequenceTasks,
];

/** Tasks of encoders with a masked-language head. */
const maskedTasks: readonly string[] = [...encoderTasks, 'masked-language-modelling', 'variant-effect'];
