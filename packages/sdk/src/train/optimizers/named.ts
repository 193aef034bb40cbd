/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
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

/** What makes each of its settings. */
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
 * Makes the optimizer of this name, with default settings where only the name is given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name or a setting that there is not, and for settings out of their range
 */
export function createOptimizer(given: OptimizerName | OptimizerOptions): Optimizer {
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  if (Object.hasOwn(makers, name)) return makers[name](settings);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${name}".${didYouMean(name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
  );
}
