/** @file Ways to adapt a model beside LoRA, each a tuner; `methodsPlugin` has them all. */

export { mixtureOf, type MixtureOptions } from './mixtures/mixtureOf.ts';
export { methodsPlugin, optimizers, tuners } from './plugin.ts';
export { forTask } from './tuners/poly.ts';
