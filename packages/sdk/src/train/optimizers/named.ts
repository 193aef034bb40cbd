/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { adafactor, type AdafactorOptions } from './adafactor.ts';
import { adam, type AdamOptions } from './adam.ts';
import { lion, type LionOptions } from './lion.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd, type SgdOptions } from './sgd.ts';

export type { AdafactorOptions, AdamOptions, LionOptions, SgdOptions };

/** An optimizer's name and settings. */
export type OptimizerOptions = AdamOptions | SgdOptions | LionOptions | AdafactorOptions;

/** The name of an optimizer. */
export type OptimizerName = OptimizerOptions['name'];

/** Constructors by name. */
const makers: { readonly [Name in OptimizerName]: (given: Readonly<Record<string, unknown>>) => Optimizer } = {
  adamw: (given) => adam('adamw', given),
  adam: (given) => adam('adam', given),
  sgd,
  lion,
  adafactor,
};

/** Every optimizer's name. */
export const optimizerNames: readonly OptimizerName[] = Object.keys(makers) as OptimizerName[];

/**
 * Creates an optimizer by name, with default settings unless given.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name or setting, or a value out of range
 */
export function createOptimizer(given: OptimizerName | OptimizerOptions): Optimizer {
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  if (Object.hasOwn(makers, name)) return makers[name](settings);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${name}".${didYouMean(name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
  );
}
