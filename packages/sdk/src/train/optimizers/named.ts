/** @file Optimizers by name. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { adafactor, type AdafactorOptions } from './adafactor.ts';
import { adam, type AdamOptions } from './adam.ts';
import { lion, type LionOptions } from './lion.ts';
import { remembering } from './memory.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd, type SgdOptions } from './sgd.ts';

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
      return remembering(adam(options));
    case 'sgd':
      return remembering(sgd(options));
    case 'lion':
      return remembering(lion(options));
    case 'adafactor':
      return remembering(adafactor(options));
    default: {
      const { name } = options as { readonly name: string };
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `There is no optimizer "${name}".${didYouMean(name, optimizerNames)} Choose one of ${optimizerNames.join(', ')}.`,
      );
    }
  }
}
