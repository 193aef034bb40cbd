/** @file Facts common to speech families. */

import { describedFamily, type DescribedFamily, type FamilyDefinition } from '@onnx-lora/sdk/plugin';

/** Facts of a family; the tasks are {@link encoderTasks} by default. */
type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks'> & Partial<Pick<FamilyDefinition, 'tasks'>>;

/** Describes a speech family. */
export function speechFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({ tasks: encoderTasks, ...facts, domain: 'speech' });
}

/** Tasks of a waveform encoder, the usual first. */
const encoderTasks: readonly string[] = ['speech-recognition', 'audio-classification', 'audio-embedding'];
