/** @file What the families of this package have in common. */

import { describedFamily, type DescribedFamily, type FamilyFacts } from '@onnx-lora/sdk/plugin';

/** What is said of a family here; its tasks are {@link backboneTasks} unless it says otherwise. */
type FactsHere = Omit<FamilyFacts, 'domain' | 'tasks'> & Partial<Pick<FamilyFacts, 'tasks'>>;

/** A family from its facts; models that transformers' wrapper of timm holds are known by timm's names. */
export function visionFamily(facts: FactsHere): DescribedFamily {
  const family = describedFamily({ tasks: backboneTasks, ...facts, domain: 'vision' });
  return {
    ...family,
    // The wrapper says only that timm's names follow.
    matches: ({ config, modulePaths }) =>
      family.matches(config && config['model_type'] !== 'timm_wrapper' ? { config, modulePaths } : { modulePaths }),
  };
}

/** What can be trained on any backbone, the usual first. */
export const backboneTasks: readonly string[] = [
  'image-classification',
  'multi-label-classification',
  'image-regression',
  'image-embedding',
  'image-retrieval',
];
