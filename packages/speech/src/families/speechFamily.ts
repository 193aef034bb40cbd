/** @file What the families of this package have in common. */

import { describedFamily, type DescribedFamily, type FamilyFacts } from '@onnx-lora/sdk/plugin';

/** A family of models of speech, from its facts. */
export function speechFamily(facts: Omit<FamilyFacts, 'domain'>): DescribedFamily {
  return describedFamily({ ...facts, domain: 'speech' });
}

/** What an encoder of waveforms is trained for, the usual first. */
export const encoderTasks: readonly string[] = ['speech-recognition', 'audio-classification', 'audio-embedding'];
