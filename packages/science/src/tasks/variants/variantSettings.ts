/** @file What the command line may say of how variants are scored (`--set name=value`). */

import { choice } from '@onnx-lora/sdk/tasks';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { variantMethods, type VariantScorerOptions } from '../../variants/variantScorer.ts';

/** Of scoring by likelihood. */
export const scoringSettings: readonly TaskSetting[] = [
  {
    name: 'method',
    kind: 'text',
    description: `How variants are scored: ${variantMethods.join(', ')}; the first by default.`,
  },
  {
    name: 'maxLength',
    kind: 'number',
    description: 'Most tokens that the model is shown at once, special ones included.',
  },
];

/** Of variants of several substitutions. */
export const multipleSetting: TaskSetting = {
  name: 'multiple',
  kind: 'text',
  description:
    'What masked-marginals masks for several substitutions: additive (default) each alone, together all at once.',
};

type Settings = TaskOptions['settings'];

/** What they say. */
export function scoringFrom(settings: Settings = {}): Pick<VariantScorerOptions, 'method' | 'multiple' | 'maxLength'> {
  const { method, multiple, maxLength } = settings;
  return {
    method: choice('method', method, variantMethods),
    multiple: choice('multiple', multiple, ['additive', 'together']),
    ...(typeof maxLength === 'number' ? { maxLength } : {}),
  };
}
