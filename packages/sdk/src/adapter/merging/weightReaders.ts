/** @file Readers of a layer's weight and bias, in all places that compute it. */

import type { ParameterReader } from '../../lora/methods/trainedParameter.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import type { StoredWeight } from '../../match/weights/index.ts';
import type { WeightEdit } from './editWeights.ts';

/** Groups places by their tensor: one group, or one per branch of an If with its own copy. */
export function byTensor(places: readonly Site[], storedOf: (place: Site) => StoredWeight): [Site, ...Site[]][] {
  const groups = new Map<string, [Site, ...Site[]]>();
  for (const place of places) {
    const key = storedOf(place).tensors[0].name;
    const group = groups.get(key);
    if (group) group.push(place);
    else groups.set(key, [place]);
  }
  return [...groups.values()];
}

/** The node that reads a layer's weight. */
export function weightReader({ node, weight: { name, stored } }: Site): ParameterReader {
  return { node, name, chain: stored.chain };
}

/** A layer's bias tensors with their readers. */
export function biasReaders(site: Site): Pick<WeightEdit, 'stored' | 'readers'>[] {
  const places = occurrencesOf(site).filter(({ bias }) => bias);
  return byTensor(places, ({ bias }) => bias!.stored).map((group) => ({
    stored: group[0].bias!.stored,
    readers: group.map(({ bias }) => ({ node: bias!.node, name: bias!.name, chain: bias!.stored.chain })),
  }));
}
