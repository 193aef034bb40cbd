/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { adafactor, type AdafactorOptions } from './adafactor.ts';
import { adam, type AdamOptions } from './adam.ts';
import { lion, type LionOptions } from './lion.ts';
import { remembering, type UpdateRule } from './memory.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd, type SgdOptions } from './sgd.ts';

export type { AdafactorOptions, AdamOptions, LionOptions, SgdOptions };

/** An optimizer by name, with its settings. */
export type OptimizerOptions = AdamOptions | SgdOptions | LionOptions | AdafactorOptions;

/** The name of an optimizer. */
export type OptimizerName = OptimizerOptions['name'];

/** The rule of each. */
const rules: { readonly [Name in OptimizerName]: (options: never) => UpdateRule<string> } = {
  adamw: adam,
  adam,
  sgd,
  lion,
  adafactor,
};

type SettingsOf<Options> = Readonly<Record<Exclude<keyof Options, 'name'>, true>>;

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
    requireSettings(options);
    return remembering(rules[options.name](options as never));
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${options.name}".${didYouMean(options.name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
  );
}

function requireSettings({ name, ...given }: OptimizerOptions): void {
  const known = Object.keys(settings[name]);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The optimizer ${name} has no setting "${unknown}".${didYouMean(unknown, known)} It has ${known.join(', ')}.`,
  );
}
