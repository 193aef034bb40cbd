/** @file What the families of this package have in common. */

import { describedFamily, type DescribedFamily, type FamilyFacts } from '@onnx-lora/sdk/plugin';

/** What is said of a family here; its tasks are {@link encoderTasks} unless it says otherwise. */
type FactsHere = Omit<FamilyFacts, 'domain' | 'tasks'> & Partial<Pick<FamilyFacts, 'tasks'>>;

/** A family of models of speech, from its facts. */
export function speechFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: encoderTasks, ...facts, domain: 'speech' });
}

/** What an encoder of waveforms is trained for, the usual first. */
const encoderTasks: readonly string[] = ['speech-recognition', 'audio-classification', 'audio-embedding'];
