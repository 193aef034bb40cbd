/** @file The base model, opened and run, gives the outputs that torch gives. */

import type { Check } from '../check.ts';
import { checkOutputs, outputsOf } from '../outputs.ts';

/** The check. */
export const base: Check = {
  name: 'base',
  run: (subject) => checkOutputs(subject, 'base', () => outputsOf(subject.model, subject)),
};
