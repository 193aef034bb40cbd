/** @file What merging makes of the weight and bias of a layer that a tuner of a plugin adapts. */

import { OnnxLoraError } from '../errors.ts';
import { type Matrix, matrix, transpose } from '../linalg/matrix.ts';
import { placesOf } from '../lora/plan.ts';
import type { WeightEdit } from './editWeights.ts';
import { floats } from './feeds.ts';
import type { TunedTensors } from './placed.ts';
import { biasPlaces, byTensor, weightReader } from './weightPlaces.ts';

/**
 * The tuner's weight and bias, computed in double precision.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a tuner that no weight can hold
 */
export function tunedEdits({ tuned: { site, tuning, peftType }, tensors }: TunedTensors): WeightEdit[] {
  const { mergeWeight, mergeBias } = tuning;
  if (!mergeWeight) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter of "${site.path}" cannot be merged: what ${peftType} computes is no weight. Run it in a session.`,
    );
  }
  const wide = Object.fromEntries([...tensors].map(([name, tensor]) => [name, Float64Array.from(floats(tensor))]));
  const [out = 0, width = 0] = site.weightShape;
  const weights = byTensor(placesOf(site), ({ weight }) => weight.stored).map((places): WeightEdit => {
    const isTransposed = places[0].weight.layout === 'in-out';
    const change = (before: Float32Array): Float32Array => {
      const own = isTransposed ? transpose(matrix(width, out, before)) : matrix(out, width, before);
      const merged: Matrix = mergeWeight(own, wide);
      return Float32Array.from((isTransposed ? transpose(merged) : merged).data);
    };
    return { stored: places[0].weight.stored, readers: places.map(weightReader), change, module: site.path };
  });
  const biases = mergeBias
    ? biasPlaces(site).map((own): WeightEdit => {
        const change = (before: Float32Array): Float32Array =>
          Float32Array.from(mergeBias(Float64Array.from(before), wide));
        return { ...own, change, module: site.path };
      })
    : [];
  return [...weights, ...biases];
}
