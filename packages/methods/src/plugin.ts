/** @file What this package brings, as any plugin would. */

import { definePlugin, type OptimizerFactory, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { lorafa } from './optimizers/lorafa.ts';
import { muon } from './optimizers/muon.ts';
import { riemannian } from './optimizers/riemannian.ts';
import { scheduleFree } from './optimizers/scheduleFree.ts';
import { adalora } from './tuners/adalora.ts';
import { adamss } from './tuners/adamss.ts';
import { aflora } from './tuners/aflora.ts';
import { allocatingLora } from './tuners/allocatingLora.ts';
import { arrow } from './tuners/arrow.ts';
import { bdlora } from './tuners/bdlora.ts';
import { beft } from './tuners/beft.ts';
import { boft } from './tuners/boft.ts';
import { c3a } from './tuners/c3a.ts';
import { cola } from './tuners/cola.ts';
import { deft } from './tuners/deft.ts';
import { delora } from './tuners/delora.ts';
import { dylora } from './tuners/dylora.ts';
import { ewc } from './tuners/ewc.ts';
import { fourierft } from './tuners/fourierft.ts';
import { frod } from './tuners/frod.ts';
import { glora } from './tuners/glora.ts';
import { gralora } from './tuners/gralora.ts';
import { gsLora } from './tuners/gsLora.ts';
import { hira } from './tuners/hira.ts';
import { hra } from './tuners/hra.ts';
import { hydraLora } from './tuners/hydraLora.ts';
import { ia3 } from './tuners/ia3.ts';
import { kasa } from './tuners/kasa.ts';
import { lily } from './tuners/lily.ts';
import { loha } from './tuners/loha.ts';
import { lokr } from './tuners/lokr.ts';
import { loraXs } from './tuners/loraXs.ts';
import { melora } from './tuners/melora.ts';
import { miss } from './tuners/miss.ts';
import { mixlora } from './tuners/mixlora.ts';
import { mola } from './tuners/mola.ts';
import { monteclora } from './tuners/monteclora.ts';
import { mora } from './tuners/mora.ts';
import { nola } from './tuners/nola.ts';
import { oft } from './tuners/oft.ts';
import { oLora } from './tuners/oLora.ts';
import { osf } from './tuners/osf.ts';
import { peanut } from './tuners/peanut.ts';
import { periodicLora } from './tuners/periodicLora.ts';
import { poly } from './tuners/poly.ts';
import { psoft } from './tuners/psoft.ts';
import { pvera } from './tuners/pvera.ts';
import { qalora } from './tuners/qalora.ts';
import { randlora } from './tuners/randlora.ts';
import { relora } from './tuners/relora.ts';
import { road } from './tuners/road.ts';
import { sdLora } from './tuners/sdLora.ts';
import { shira } from './tuners/shira.ts';
import { sora } from './tuners/sora.ts';
import { supertuning } from './tuners/supertuning.ts';
import { tiedlora } from './tuners/tiedlora.ts';
import { tinylora } from './tuners/tinylora.ts';
import { ttLora } from './tuners/ttLora.ts';
import { unilora } from './tuners/unilora.ts';
import { vblora } from './tuners/vblora.ts';
import { velora } from './tuners/velora.ts';
import { vera } from './tuners/vera.ts';
import { waveft } from './tuners/waveft.ts';
import { xlora } from './tuners/xlora.ts';

/** Tuners beside LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
  // By their names.
  adalora,
  adamss,
  aflora,
  allocatingLora,
  arrow,
  bdlora,
  beft,
  boft,
  c3a,
  cola,
  deft,
  delora,
  dylora,
  ewc,
  fourierft,
  frod,
  glora,
  gralora,
  gsLora,
  hira,
  hra,
  hydraLora,
  ia3,
  kasa,
  lily,
  loha,
  lokr,
  loraXs,
  melora,
  miss,
  mixlora,
  mola,
  monteclora,
  mora,
  nola,
  oft,
  oLora,
  osf,
  peanut,
  periodicLora,
  poly,
  psoft,
  pvera,
  qalora,
  randlora,
  relora,
  road,
  sdLora,
  shira,
  sora,
  supertuning,
  tiedlora,
  tinylora,
  ttLora,
  unilora,
  vblora,
  velora,
  vera,
  waveft,
  xlora,
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
