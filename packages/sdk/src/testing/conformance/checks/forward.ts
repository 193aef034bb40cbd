/** @file The model with the adapter gives the outputs that PEFT gives. */

import type { Check } from '../check.ts';
import { caseAdapter, checkOutputs, outputsOf } from '../outputs.ts';

/** The check. */
export const forward: Check = {
  name: 'forward',
  run: (subject) =>
    checkOutputs(subject, 'lora', async () => outputsOf(subject.model, subject, await caseAdapter(subject))),
};
