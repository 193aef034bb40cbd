/** @file One of each of the smaller things that a plugin may bring, each in a file of its own. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { hourly } from './dataset.ts';
import { signs } from './initializer.ts';
import { inverse } from './operator.ts';
import { signum } from './optimizer.ts';
import { oneCore } from './provider.ts';
import { sizes } from './section.ts';
import { jsonLines } from './tracker.ts';

/** Contributions without a domain. */
export const extrasPlugin: Plugin = definePlugin({
  name: 'onnx-lora-extras',
  version: '1.0.0',
  description: 'Hourly means, signum, random signs, the gradient of Inverse, one core, events as JSON lines.',
  datasets: [hourly],
  initializers: [signs],
  operators: [inverse],
  optimizers: [signum],
  providers: [oneCore],
  sections: [sizes],
  trackers: [jsonLines],
});
