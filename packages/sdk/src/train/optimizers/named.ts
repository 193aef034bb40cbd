/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { Adafactor, type AdafactorOptions } from './adafactor.ts';
import { Adam, type AdamOptions } from './adam.ts';
import { Lion, type LionOptions } from './lion.ts';
import type { Optimizer } from './optimizer.ts';
import { Sgd, type SgdOptions } from './sgd.ts';

/** An optimizer by name, with its settings. */
export type OptimizerOptions = AdamOptions | SgdOptions | LionOptions | AdafactorOptions;

/** The name of an optimizer. */
export type OptimizerName = OptimizerOptions['name'];

/** Every optimizer's name. */
export const optimizerNames: readonly OptimizerName[] = ['adamw', 'adam', 'sgd', 'lion', 'adafactor'];

/**
 * Makes the optimizer of this name, with default settings where only the name is given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that there is not, and for settings out of their range
 */
export function createOptimizer(given: OptimizerName | OptimizerOptions): Optimizer {
  const options: OptimizerOptions = typeof given === 'string' ? { name: given } : given;
  switch (options.name) {
    case 'adamw':
    case 'adam':
      return new Adam(options);
    case 'sgd':
      return new Sgd(options);
    case 'lion':
      return new Lion(options);
    case 'adafactor':
      return new Adafactor(options);
    default: {
      const { name } = options as { readonly name: string };
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `There is no optimizer "${name}".${didYouMean(name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
      );
    }
  }
}
