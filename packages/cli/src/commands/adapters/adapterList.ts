/** @file Several adapters on the command line, each with a weight: `--weight 0.7,0.3`. */

import { loadAdapter, type WeightedAdapter } from '@onnx-lora/sdk';
import type { Flags } from '../../options.ts';
import { usageError } from '../../terminal/errors.ts';

/**
 * The adapters that were named, loaded.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the weights do not match; as `loadAdapter`
 */
export async function loadWeighted(names: readonly string[], { weight }: Flags): Promise<WeightedAdapter[]> {
  if (weight && weight.length !== names.length) {
    throw usageError(
      `${names.length} ${names.length === 1 ? 'adapter is' : 'adapters are'} named, but the number of weights is ${weight.length}. Give --weight once per adapter, in their order.`,
    );
  }
  const weights = names.map((_, i) => (weight === undefined ? 1 : readNumber('weight', weight[i]!)));
  const adapters = await Promise.all(names.map((name) => loadAdapter(name)));
  return adapters.map((adapter, i) => ({ adapter, weight: weights[i]!, name: names[i]! }));
}

/** @throws OnnxLoraError `CONFIG_INVALID` for text that is no number */
export function readNumber(flag: string, text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isFinite(number)) return number;
  throw usageError(`--${flag} must be a number, but it is ${JSON.stringify(text)}.`);
}
