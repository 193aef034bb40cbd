/** @file Tied weights: repeated calls of a module, and output layers of language models tied to embeddings. */

import { permOf } from '../ops/schema.ts';
import type { Site } from './site.ts';
import { permute } from './weights/index.ts';

/** Whether two layers have one torch weight: a shared tensor in the same orientation, or (for parts) equal numbers. */
export function haveOneWeight(a: Site['weight'], b: Site['weight']): boolean {
  const [one, other] = [a.stored, b.stored];
  if (torchShape(a).join() !== torchShape(b).join() || one.storage !== other.storage) return false;
  if (one.tensors[0].name === other.tensors[0].name && !one.isPart && !other.isPart) {
    const isSame = turnsOf(a) === turnsOf(b);
    // A symmetric matrix does not show its orientation.
    if (isSame || one.dims.length === 2) return isSame;
  }
  const isAlike = a.layout === b.layout;
  const [left, right] = isAlike ? [one.read(), other.read()] : [torchNumbers(a), torchNumbers(b)];
  return left.every((value, i) => value === right[i]);
}

/** Whether two layers share a weight, in the same or transposed orientation: one tensor, or equal numbers. */
export function areTied(a: Site['weight'], b: Site['weight']): boolean {
  const [one, other] = [torchShape(a), torchShape(b)];
  const isTransposed = one.join() !== other.join();
  if (isTransposed && one.join() !== other.toReversed().join()) return false;
  if (a.stored.tensors[0].name === b.stored.tensors[0].name && !a.stored.isPart && !b.stored.isPart) return true;
  const [left, right] = [torchNumbers(a), torchNumbers(b)];
  const equal = (numbers: Float32Array): boolean => left.every((value, i) => value === numbers[i]);
  return (!isTransposed && equal(right)) || (other.length === 2 && equal(permute(right, other, [1, 0])));
}

/** Whether the stored matrix of a linear layer is transposed compared with torch's. */
export function isTransposed(weight: Site['weight']): boolean {
  return turnsOf(weight) === '1,0';
}

function turnsOf({ stored, layout }: Site['weight']): string {
  const turns = stored.chain.flatMap((node) =>
    node.opType === 'Transpose' ? [permOf(node, stored.dims.length).join()] : [],
  );
  if (layout === 'in-out') turns.push('1,0');
  if (stored.dims.length !== 2) return turns.join(' ');
  // Two transposes of a matrix cancel.
  return turns.filter((turn) => turn === '1,0').length % 2 === 1 ? '1,0' : '';
}

function torchShape({ stored, layout }: Site['weight']): readonly number[] {
  return layout === 'in-out' ? stored.dims.toReversed() : stored.dims;
}

function torchNumbers({ stored, layout }: Site['weight']): Float32Array {
  return layout === 'in-out' ? permute(stored.read(), stored.dims, [1, 0]) : stored.read();
}

/** The linear layers tied to an embedding: same tensor or equal numbers, since exporters store a transposed copy. */
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
