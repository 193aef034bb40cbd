/** @file What the command line may say of features. */

import { choice } from '@onnx-lora/sdk/tasks';
import type { TaskSetting, TaskSettingValue } from '@onnx-lora/sdk/plugin';
import type { FeatureOptions } from './features.ts';

/** Settings of every task that works on features. */
export const featureSettings: readonly TaskSetting[] = [
  {
    name: 'output',
    kind: 'text',
    description: 'The graph output that is the feature; before-head is what a classifier reads.',
  },
  { name: 'pooling', kind: 'text', description: 'cls, mean or gem, of an output with several vectors per image.' },
];

/**
 * Values of {@link featureSettings}.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a pooling that there is not
 */
export function readFeatureSettings(settings: Readonly<Record<string, TaskSettingValue>> = {}): FeatureOptions {
  const { output, pooling } = settings;
  return {
    ...(output === undefined ? {} : { output: String(output) }),
    pooling: choice('pooling', pooling, ['cls', 'mean', 'gem']),
  };
}
