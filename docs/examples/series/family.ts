/** @file The model family of the example: small forecasters of sensor readings. */

import type { ModelFamily } from '@onnx-lora/sdk/plugin';

/** Forecasters: some encoder layers, and a head that yields the next readings. */
export const forecaster: ModelFamily = {
  name: 'forecaster',
  domain: 'series',
  matches: ({ config }) => config?.['model_type'] === 'forecaster',
  roles: { encoder: [/encoder\.\d+/], head: [/head/] },
  defaultTargets: ['encoder', 'head'],
  tasks: ['forecast'],
};
