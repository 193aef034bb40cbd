/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { adalora } from './tuners/adalora.ts';
import { adamss } from './tuners/adamss.ts';
import { beft } from './tuners/beft.ts';
import { boft } from './tuners/boft.ts';
import { deft } from './tuners/deft.ts';
import { frod } from './tuners/frod.ts';
import { glora } from './tuners/glora.ts';
import { hra } from './tuners/hra.ts';
import { ia3 } from './tuners/ia3.ts';
import { loha } from './tuners/loha.ts';
import { oft } from './tuners/oft.ts';
import { osf } from './tuners/osf.ts';
import { peanut } from './tuners/peanut.ts';
import { psoft } from './tuners/psoft.ts';
import { road } from './tuners/road.ts';
import { vera } from './tuners/vera.ts';

/** Tuners beside LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
  // By their names.
  adalora,
  adamss,
  beft,
  boft,
  deft,
  frod,
  glora,
  hra,
  ia3,
  loha,
  oft,
  osf,
  peanut,
  psoft,
  road,
  vera,
];

/** All of them. */
export const methodsPlugin: Plugin = definePlugin({
  name: '@onnx-lora/methods',
  description: 'Ways to adapt a model beside LoRA, in the format of PEFT.',
  tuners,
});
