/** @file Which layers share their weight with an embedding, as the output layer of many language models does. */

import type { Site } from './sites.ts';

/**
 * The linear layers whose weight is an embedding's table: the same tensor, or equal numbers, since exporters store a
 * transposed copy.
 */
export function tiedLayers(embedding: Site, sites: readonly Site[]): Site[] {
  const [vocabulary, dim] = embedding.weightShape as [number, number];
  const sameSize = sites.filter(
    ({ kind, weightShape }) => kind === 'linear' && weightShape.join() === `${vocabulary},${dim}`,
  );
  if (sameSize.length === 0) return [];
  const table = embedding.weight.stored.read();
  return sameSize.filter(({ weight: { stored, layout } }) => {
    const values = stored.read();
    if (layout !== 'in-out') return values.every((value, i) => value === table[i]);
    return values.every((value, i) => value === table[(i % vocabulary) * dim + Math.floor(i / vocabulary)]);
  });
}
