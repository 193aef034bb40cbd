/** @file Common properties of this package's families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition, type ModelFacts } from '@onnx-lora/sdk/plugin';
import { sequenceTasks } from '@onnx-lora/sequences';

/** Facts of a family; tasks default to {@link maskedModelTasks}. */
type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** A family of models of sequences, from its facts. */
export function scienceFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: maskedModelTasks, ...facts, domain: 'science' });
}

/** Whether config.json speaks of ESMFold, whose `model_type` is that of its language model. */
export function isFolding({ config }: ModelFacts): boolean {
  return config?.['is_folding_model'] === true;
}

/** Tasks of an encoder that also guesses masked letters, the usual first. */
const maskedModelTasks: readonly string[] = [...sequenceTasks, 'masked-language-modelling', 'variant-effect'];
