/** @file Ways to adapt a model beside LoRA, each a tuner; `methodsPlugin` has them all. */

export { methodsPlugin, tuners } from './plugin.ts';
