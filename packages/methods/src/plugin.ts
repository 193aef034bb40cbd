/** @file What this package brings, as any plugin would. */

import { definePlugin, type OptimizerFactory, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { lorafa } from './optimizers/lorafa.ts';
import { muon } from './optimizers/muon.ts';
import { riemannian } from './optimizers/riemannian.ts';
import { scheduleFree } from './optimizers/scheduleFree.ts';
import { adalora } from './tuners/adalora.ts';
import { arrow } from './tuners/arrow.ts';
import { bdlora } from './tuners/bdlora.ts';
import { beft } from './tuners/beft.ts';
import { boft } from './tuners/boft.ts';
import { deft } from './tuners/deft.ts';
import { glora } from './tuners/glora.ts';
import { gralora } from './tuners/gralora.ts';
import { hira } from './tuners/hira.ts';
import { hra } from './tuners/hra.ts';
import { hydraLora } from './tuners/hydraLora.ts';
import { ia3 } from './tuners/ia3.ts';
import { kasa } from './tuners/kasa.ts';
import { lily } from './tuners/lily.ts';
import { loha } from './tuners/loha.ts';
import { lokr } from './tuners/lokr.ts';
import { miss } from './tuners/miss.ts';
import { mola } from './tuners/mola.ts';
import { monteclora } from './tuners/monteclora.ts';
import { oft } from './tuners/oft.ts';
import { peanut } from './tuners/peanut.ts';
import { poly } from './tuners/poly.ts';
import { qalora } from './tuners/qalora.ts';
import { road } from './tuners/road.ts';
import { shira } from './tuners/shira.ts';
import { supertuning } from './tuners/supertuning.ts';
import { tiedlora } from './tuners/tiedlora.ts';
import { tinylora } from './tuners/tinylora.ts';
import { unilora } from './tuners/unilora.ts';
import { velora } from './tuners/velora.ts';
import { vera } from './tuners/vera.ts';

/** Tuners beside LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
  // By their names.
  adalora,
  arrow,
  bdlora,
  beft,
  boft,
  deft,
  glora,
  gralora,
  hira,
  hra,
  hydraLora,
  ia3,
  kasa,
  lily,
  loha,
  lokr,
  miss,
  mola,
  monteclora,
  oft,
  peanut,
  poly,
  qalora,
  road,
  shira,
  supertuning,
  tiedlora,
  tinylora,
  unilora,
  velora,
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
