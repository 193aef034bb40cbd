/** @file Ways to adapt a model beside LoRA, each a tuner; `methodsPlugin` has them all. */

export { methodsPlugin, optimizers, tuners } from './plugin.ts';
