/** @file Parameters that adapters trained in full: kept where only one has them, for without the base no sum is possible. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { floats } from '../feeds.ts';
import { capital, type KeptParameter, type Source } from './sources.ts';

/**
 * The parameters of the result, by PEFT's names, unweighted: a head of its own has no other adapter to be balanced with.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when adapters have different values of one, subtract one, or another adapts its
 *   layer
 */
export function keptParameters(sources: readonly Source[]): Map<string, Tensor> {
  const owners = new Map<string, { readonly source: Source; readonly kept: KeptParameter }>();
  for (const source of sources) {
    for (const [name, kept] of source.parameters) {
      const label = kept.module === '' ? kept.parameter : `${kept.module}.${kept.parameter}`;
      const before = owners.get(name);
      if (before && !equal(before.kept.tensor, kept.tensor)) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `${capital(before.source.name)} and ${source.name} have both trained "${label}" in full, to different values, and without the base's own these cannot be weighed. Train the adapters without modules_to_save and biases, or serve them side by side.`,
        );
      }
      requirePositive(source, label);
      const other = sources.find((each) => each !== source && each.modules.has(kept.module));
      if (other && kept.parameter === 'weight') {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `${capital(source.name)} has trained "${label}" in full, and ${other.name} adapts it from the base's values, which are gone then. Train both in the same way, or serve them side by side.`,
        );
      }
      if (!before) owners.set(name, { source, kept });
    }
  }
  return new Map([...owners].map(([name, { kept }]) => [name, kept.tensor]));
}

/** @throws OnnxLoraError `INPUT_INVALID` for an adapter that is subtracted and has trained a parameter in full */
function requirePositive({ name, weight }: Source, label: string): void {
  if (weight > 0) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `${capital(name)} has trained "${label}" in full, and with the weight ${weight} it would have to be subtracted from the base's, which the adapter does not hold. Use an adapter without modules_to_save and biases.`,
  );
}

function equal(a: Tensor, b: Tensor): boolean {
  if (a.dims.join() !== b.dims.join()) return false;
  const [x, y] = [floats(a), floats(b)];
  return x.every((value, i) => value === y[i]);
}
