/** @file The optimizer that a user means: one of the SDK's, one of a plugin's, or one that is made already. */

import { didYouMean, OnnxLoraError } from '../../../errors.ts';
import type { PluginRegistry } from '../../../plugin/registry/loadPlugins.ts';
import { createOptimizer, type OptimizerOptions, optimizerNames } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import type { TrainOptions } from './options.ts';

/** @throws OnnxLoraError `CONFIG_INVALID` for a name that nobody brings, and for settings that cannot be */
export function optimizerOf(
  given: NonNullable<TrainOptions['optimizer']>,
  { optimizers }: Pick<PluginRegistry, 'optimizers'>,
): Optimizer {
  if (typeof given === 'object' && 'update' in given) return given as Optimizer;
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  const brought = optimizers.find((each) => each.name === name);
  if (brought) return brought.create(settings);
  if (optimizerNames.some((each) => each === name)) return createOptimizer({ name, ...settings } as OptimizerOptions);
  const names = [...optimizerNames, ...optimizers.map((each) => each.name)];
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${name}".${didYouMean(String(name), names)} Choose one of ${names.join(', ')}.`,
  );
}
