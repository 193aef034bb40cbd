/** @file What this package brings, as any plugin would. */

import { definePlugin, type OptimizerFactory, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { lorafa } from './optimizers/lorafa.ts';
import { muon } from './optimizers/muon.ts';
import { riemannian } from './optimizers/riemannian.ts';
import { scheduleFree } from './optimizers/scheduleFree.ts';
import { adalora } from './tuners/adalora.ts';
import { ia3 } from './tuners/ia3.ts';
import { loha } from './tuners/loha.ts';
import { vera } from './tuners/vera.ts';

/** Tuners beside LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
  // By their names.
  adalora,
  ia3,
  loha,
  vera,
];

/** Optimizers by the names that `optimizer` and `--optimizer` take. */
export const optimizers: readonly OptimizerFactory[] = [lorafa, muon, riemannian, scheduleFree];

/** All of them. */
export const methodsPlugin: Plugin = definePlugin({
  name: '@onnx-lora/methods',
  description: 'Ways to adapt a model beside LoRA, in the format of PEFT.',
  tuners,
  optimizers,
});
