/** @file Fully trained parameters of several adapters: which can be combined. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { floats } from '../../graph/tensorData.ts';
import { capitalised, type KeptParameter, type Source } from './sources.ts';

/** The parts of an adapter that decide it. */
export type FullyTrained = Pick<Source, 'name' | 'weight' | 'parameters'> & {
  /** Paths of modules adapted without replacing their weight. */
  readonly modules: { has(path: string): boolean };
};

/** A parameter with its owners. */
export interface OwnedParameter {
  readonly kept: KeptParameter;
  readonly count: number;
}

/** The fully trained parameters of the result by PEFT's names, unweighted. Throws as {@link requireOneOwner}. */
export function fullyTrainedParameters(sources: readonly Source[]): Map<string, Tensor> {
  return new Map([...requireOneOwner(sources, () => true)].map(([name, { kept }]) => [name, kept.tensor]));
}

/**
 * The fully trained parameters by name, each of one adapter, or equal in all that have it.
 * @param lacksBase true if the base's values are unknown, so that nothing can be subtracted from them
 * @throws OnnxLoraError `INPUT_INVALID` for different values, for subtracting without the base's, and if another
 *   adapter changes the layer
 */
export function requireOneOwner(
  sources: readonly FullyTrained[],
  lacksBase: (kept: KeptParameter) => boolean,
): Map<string, OwnedParameter> {
  const owners = new Map<string, OwnedParameter & { readonly source: FullyTrained }>();
  for (const source of sources) {
    for (const [name, kept] of source.parameters) {
      const label = kept.module === '' ? kept.parameter : `${kept.module}.${kept.parameter}`;
      const before = owners.get(name);
      if (before && !equal(before.kept.tensor, kept.tensor))
        throw trainedByBoth(before.source.name, source.name, label);
      if (lacksBase(kept)) requirePositive(source, label);
      const other = sources.find((each) => each !== source && each.modules.has(kept.module));
      if (other && kept.parameter === 'weight') {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `${capitalised(source.name)} has trained "${label}" in full, and ${other.name} adapts it from the base's values, which are gone then. Train both in the same way, or serve them side by side.`,
        );
      }
      owners.set(name, before ? { ...before, count: before.count + 1 } : { source, kept, count: 1 });
    }
  }
  return owners;
}

function trainedByBoth(one: string, other: string, label: string): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `${capitalised(one)} and ${other} have both trained "${label}" in full, to different values, and without the base's own these cannot be weighed. Train the adapters without modules_to_save and biases, or serve them side by side.`,
  );
}

/** @throws OnnxLoraError `INPUT_INVALID` for a subtracted adapter with a fully trained parameter */
function requirePositive({ name, weight }: FullyTrained, label: string): void {
  if (weight > 0) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `${capitalised(name)} has trained "${label}" in full, and with the weight ${weight} it would have to be subtracted from the base's, which the adapter does not hold. Use an adapter without modules_to_save and biases.`,
  );
}

function equal(a: Tensor, b: Tensor): boolean {
  if (a.dims.join() !== b.dims.join()) return false;
  const [x, y] = [floats(a), floats(b)];
  return x.every((value, i) => value === y[i]);
}
