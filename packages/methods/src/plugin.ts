/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { adalora } from './tuners/adalora.ts';
import { bdlora } from './tuners/bdlora.ts';
import { kasa } from './tuners/kasa.ts';
import { qalora } from './tuners/qalora.ts';
import { velora } from './tuners/velora.ts';
import { ia3 } from './tuners/ia3.ts';
import { loha } from './tuners/loha.ts';
import { vera } from './tuners/vera.ts';

/** Tuners beside LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
  // By their names.
  adalora,
  bdlora,
  ia3,
  kasa,
  loha,
  qalora,
  velora,
  vera,
];

/** All of them. */
export const methodsPlugin: Plugin = definePlugin({
  name: '@onnx-lora/methods',
  description: 'Ways to adapt a model beside LoRA, in the format of PEFT.',
  tuners,
});
