/** @file The plugin: its tuners and optimizers. */

import { definePlugin, type OptimizerFactory, type Plugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { lorafa } from './optimizers/lorafa.ts';
import { muon } from './optimizers/muon.ts';
import { riemannian } from './optimizers/riemannian.ts';
import { scheduleFree } from './optimizers/scheduleFree.ts';
import { ewc, oLora, sdLora } from './continual/tuners.ts';
import { adalora } from './tuners/dynamic/adalora.ts';
import { adamss } from './tuners/fromWeights/adamss.ts';
import { aflora } from './tuners/dynamic/aflora.ts';
import { allocatingLora } from './tuners/dynamic/allocatingLora.ts';
import { arrow } from './mixtures/arrow.ts';
import { bdlora } from './tuners/lowRank/bdlora.ts';
import { beft } from './tuners/fromWeights/beft.ts';
import { boft } from './tuners/rotations/boft.ts';
import { c3a } from './tuners/sharedProjections/c3a.ts';
import { deft } from './tuners/fromWeights/deft.ts';
import { delora } from './tuners/lowRank/delora.ts';
import { dylora } from './tuners/dynamic/dylora.ts';
import { fourierft } from './tuners/sharedProjections/fourierft.ts';
import { frod } from './tuners/sharedProjections/frod.ts';
import { glora } from './tuners/fromWeights/glora.ts';
import { gralora } from './tuners/lowRank/gralora.ts';
import { hira } from './tuners/lowRank/hira.ts';
import { hra } from './tuners/rotations/hra.ts';
import { hydraLora } from './mixtures/hydraLora.ts';
import { ia3 } from './tuners/fromWeights/ia3.ts';
import { kasa } from './tuners/lowRank/kasa.ts';
import { lily } from './tuners/sharedProjections/lily.ts';
import { loha } from './tuners/lowRank/loha.ts';
import { lokr } from './tuners/lowRank/lokr.ts';
import { loraXs } from './tuners/lowRank/loraXs.ts';
import { melora } from './tuners/lowRank/melora.ts';
import { miss } from './tuners/fromWeights/miss.ts';
import { mixlora } from './mixtures/mixlora.ts';
import { mola } from './mixtures/mola.ts';
import { monteclora } from './tuners/dynamic/monteclora.ts';
import { mora } from './tuners/lowRank/mora.ts';
import { nola } from './tuners/sharedProjections/nola.ts';
import { oft } from './tuners/rotations/oft.ts';
import { osf } from './tuners/rotations/osf.ts';
import { peanut } from './tuners/fromWeights/peanut.ts';
import { poly } from './mixtures/poly.ts';
import { psoft } from './tuners/rotations/psoft.ts';
import { pvera } from './tuners/sharedProjections/pvera.ts';
import { qalora } from './tuners/lowRank/qalora.ts';
import { randlora } from './tuners/sharedProjections/randlora.ts';
import { cola, periodicLora, relora } from './tuners/dynamic/restarts.ts';
import { road } from './tuners/rotations/road.ts';
import { shira } from './tuners/fromWeights/shira.ts';
import { gsLora, sora } from './tuners/dynamic/sparseLora.ts';
import { supertuning } from './tuners/fromWeights/supertuning.ts';
import { tiedlora } from './tuners/sharedProjections/tiedlora.ts';
import { tinylora } from './tuners/sharedProjections/tinylora.ts';
import { ttLora } from './tuners/lowRank/ttLora.ts';
import { unilora } from './tuners/sharedProjections/unilora.ts';
import { vblora } from './tuners/sharedProjections/vblora.ts';
import { velora } from './tuners/dynamic/velora.ts';
import { vera } from './tuners/sharedProjections/vera.ts';
import { waveft } from './tuners/sharedProjections/waveft.ts';
import { xlora } from './mixtures/xlora.ts';

/** Tuners besides LoRA, by the names that `lora.tuner` and `--tuner` take. */
export const tuners: readonly Tuner[] = [
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

/** Optimizers, by the names that `optimizer` and `--optimizer` take. */
export const optimizers: readonly OptimizerFactory[] = [lorafa, muon, riemannian, scheduleFree];

/** Plugin with all tuners and optimizers of this package. */
export const methodsPlugin: Plugin = definePlugin({
  name: '@onnx-lora/methods',
  description: 'Ways to adapt a model beside LoRA, in the format of PEFT.',
  tuners,
  optimizers,
});
