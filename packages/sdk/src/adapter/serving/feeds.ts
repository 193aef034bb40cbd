/** @file Feeds of an injected graph, for an adapter and for the base. */

import type { AdapterInput } from '../../lora/methods/tuning.ts';
import type { Provider } from '../../runtime/session.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { PlacedAdapter } from '../naming/place.ts';

/** Tensors by input name. */
export type AdapterFeeds = ReadonlyMap<string, Tensor>;

/**
 * Rank of the zeros that leave a module unchanged. Rank 0 is free, but a product over no columns crashes ONNX Runtime's
 * WebGPU provider; other GPU providers get a zero column too.
 */
export function idleRank(provider: Provider): 0 | 1 {
  return provider === 'cpu' ? 0 : 1;
}

/** The feeds of an adapter: one per input that it changes. A generator, since DoRA's gains take time. */
export function* adapterFeeds(
  { tunings }: Pick<PlacedAdapter, 'tunings'>,
  inputs: readonly AdapterInput[],
): Generator<[string, Tensor]> {
  const own = new Map(tunings.map((each) => [each.tuning.slot, each]));
  const prepared = new Map<string, ReadonlyMap<string, Tensor>>();
  for (const { name, tuning, others, tensor } of inputs) {
    const placed = [tuning, ...others].map(({ slot }) => own.get(slot)).find((each) => each !== undefined);
    if (!placed) continue;
    const { slot } = placed.tuning;
    if (!prepared.has(slot)) prepared.set(slot, placed.tuning.feeds(placed.saved));
    const fed = prepared.get(slot)!.get(tensor.role);
    if (fed) yield [name, fed];
  }
}

/** The feeds of the base: A and B of rank `idle`, gain 1, the base's parameters, a tuner's idle values. */
export function baseFeeds(inputs: readonly AdapterInput[], idle: 0 | 1): AdapterFeeds {
  return new Map(inputs.map(({ name, tensor }) => [name, tensor.idle(idle)]));
}
