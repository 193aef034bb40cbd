/** @file What the families of this package have in common. */

import { describedFamily, type DescribedFamily, type FamilyFacts, type ModelFacts } from '@onnx-lora/sdk/plugin';
import { sequenceTasks } from '@onnx-lora/sequences';

/** What is said of a family here; its tasks are {@link maskedModelTasks} unless it says otherwise. */
type FactsHere = Omit<FamilyFacts, 'domain' | 'tasks'> & Partial<Pick<FamilyFacts, 'tasks'>>;

/** A family of models of sequences, from its facts. */
export function scienceFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: maskedModelTasks, ...facts, domain: 'science' });
}

/** Whether config.json speaks of ESMFold, whose `model_type` is that of its language model. */
export function isFolding({ config }: ModelFacts): boolean {
  return config?.['is_folding_model'] === true;
}

/** What any encoder of sequences is trained and used for, the usual first, where the model also guesses masked letters. */
const maskedModelTasks: readonly string[] = [...sequenceTasks, 'masked-language-modelling', 'variant-effect'];
