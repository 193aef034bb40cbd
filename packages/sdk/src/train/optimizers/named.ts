/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { type Known, requireKnown } from '../../knownOptions.ts';
import { adafactor, type AdafactorOptions } from './adafactor.ts';
import { adam, type AdamOptions } from './adam.ts';
import { lion, type LionOptions } from './lion.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd, type SgdOptions } from './sgd.ts';

export type { AdafactorOptions, AdamOptions, LionOptions, SgdOptions };

/** An optimizer by name, with its settings. */
export type OptimizerOptions = AdamOptions | SgdOptions | LionOptions | AdafactorOptions;

/** The name of an optimizer. */
export type OptimizerName = OptimizerOptions['name'];

/** The rule of each. */
const rules: { readonly [Name in OptimizerName]: (options: never) => Optimizer } = {
  adamw: adam,
  adam,
  sgd,
  lion,
  adafactor,
};

type SettingsOf<Options> = Known<Omit<Options, 'name'>>;

const adamSettings: SettingsOf<AdamOptions> = { betas: true, eps: true, weightDecay: true, amsgrad: true };

/** What each can be told. */
const settings: { readonly [Name in OptimizerName]: SettingsOf<Extract<OptimizerOptions, { name: Name }>> } = {
  adamw: adamSettings,
  adam: adamSettings,
  sgd: { momentum: true, dampening: true, nesterov: true, weightDecay: true },
  lion: { betas: true, weightDecay: true },
  adafactor: {
    beta2Decay: true,
    eps: true,
    clipThreshold: true,
    scaleParameter: true,
    relativeStep: true,
    weightDecay: true,
  },
};

/** Every optimizer's name. */
export const optimizerNames: readonly OptimizerName[] = Object.keys(rules) as OptimizerName[];

/**
 * Makes the optimizer of this name, with default settings where only the name is given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name or a setting that there is not, and for settings out of their range
 */
export function createOptimizer(given: OptimizerName | OptimizerOptions): Optimizer {
  const options: OptimizerOptions = typeof given === 'string' ? { name: given } : given;
  if (Object.hasOwn(rules, options.name)) {
    const { name, ...own } = options;
    requireKnown(`The optimizer ${name}`, own, settings[name]);
    return rules[options.name](options as never);
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${options.name}".${didYouMean(options.name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
  );
}
