/** @file Tuners, optimizers, mixtures, continual learning and unlearning; `methodsPlugin` registers them. */

export { AdapterIndex, type ChooseOptions } from './composition/adapterIndex.ts';
export type { BlendLossOptions } from './composition/blendLoss.ts';
export type { InputGramsOptions } from './composition/inputGrams.ts';
export { loraHub, type LoraHubOptions, type LoraHubResult } from './composition/loraHub.ts';
export { zipLora, type ZipLoraOptions, type ZipPart } from './composition/zipLora.ts';
export {
  continual,
  type ContinualMethod,
  continualMethods,
  type ContinualOptions,
  type ContinualReport,
} from './continual/continual.ts';
export { withReplay } from './continual/withReplay.ts';
export { loraDrop, type LoraDropOptions } from './initializers/loraDrop.ts';
export { multitask } from './mixtures/multitask.ts';
export { mixtureOf, type MixtureOptions, limitedToBest } from './mixtures/mixtureOf.ts';
export { methodsPlugin, optimizers, tuners } from './plugin.ts';
export { dyloraAtRank } from './tuners/dynamic/dylora.ts';
export { forTask } from './mixtures/poly.ts';
export {
  measureUnlearning,
  type MeasureUnlearningOptions,
  type Membership,
  type UnlearningScores,
} from './unlearning/measureUnlearning.ts';
export { unlearning, type UnlearningMethod, type UnlearningOptions } from './unlearning/unlearning.ts';
