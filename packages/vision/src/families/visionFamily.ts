/** @file Facts common to vision families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition } from '@onnx-lora/sdk/plugin';

/** Facts of a family; the tasks are {@link backboneTasks} by default. */
type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** Describes a vision family. Models in transformers' wrapper of timm are recognised by timm's names. */
export function visionFamily(facts: FactsHere): DescribedFamily {
  const family = describedFamily({ tasks: backboneTasks, ...facts, domain: 'vision' });
  return {
    ...family,
    // The wrapper does not name the model.
    matches: ({ config, modulePaths }) =>
      family.matches(config && config['model_type'] !== 'timm_wrapper' ? { config, modulePaths } : { modulePaths }),
  };
}

/**
 * Facts of detectors. Where the export with the outputs of auxiliary losses lies beside the plain one, it is the model,
 * and adapters are merged into both.
 */
export const detectorFacts: Pick<FamilyDefinition, 'tasks' | 'files'> = {
  tasks: ['object-detection'],
  files: { parts: [{ name: 'model_aux' }, { name: 'model', onlyServes: true }], arePreferred: true },
};

/** Tasks of any backbone, the usual first. */
export const backboneTasks: readonly string[] = [
  'image-classification',
  'multi-label-classification',
  'image-regression',
  'image-embedding',
  'image-retrieval',
];
