/** @file Common properties of this package's families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition, type ModelFacts } from '@onnx-lora/sdk/plugin';
import { sequenceTasks } from '@onnx-lora/sequences';

type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** Defines a family of sequence models. */
export function scienceFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: maskedModelTasks, ...facts, domain: 'science' });
}

/** True for ESMFold, whose `model_type` is its language model's. */
export function isFolding({ config }: ModelFacts): boolean {
  return config?.['is_folding_model'] === true;
}

/** Tasks of a masked language model, the usual first. */
const maskedModelTasks: readonly string[] = [...sequenceTasks, 'masked-language-modelling', 'variant-effect'];
