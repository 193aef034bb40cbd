/** @file Transformations around an optimizer's step: their contract, and gradient clipping. */

import { notNegative } from '../checks.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { ParameterSet } from './parameters.ts';
import { multiply, slices } from './slices.ts';

/** The step of a transformation. */
export interface TransformedStep {
  /** Number of preceding steps, without skipped ones. */
  readonly step: number;
  /** Seed of the run; with the step number it makes random draws reproducible when a run resumes. */
  readonly seed: number;
  /** Euclidean norm of all gradients together, before any transformation. */
  readonly norm: number;
}

/** Changes gradients before the optimizer's step, or follows the parameters after it; in place, in slices. */
export interface Transformation {
  /** Its option, if it has one, and the prefix of its tensors in checkpoints; unique in a run. */
  readonly name: string;
  /** Called once the parameters are known. */
  begin?(parameters: ParameterSet): void;
  /** Changes the gradients of a step, by parameter name. */
  gradients?(gradients: ReadonlyMap<string, Float32Array>, at: TransformedStep): Generator<void, void>;
  /** Called after the parameters were updated. */
  after?(parameters: ParameterSet): Generator<void, void>;
  /** Parameters to evaluate and save instead of these, copied. */
  readonly averaged?: (parameters: ParameterSet) => ParameterSet;
  /** Its state; both this and `load` are absent if it has none. */
  state?(): TransformationState;
  /** @throws OnnxLoraError `FILE_INVALID` for a state of other parameters */
  readonly load?: (state: TransformationState, parameters: ParameterSet) => void;
}

/** A transformation's state. */
export interface TransformationState {
  /** By parameter, not copied. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Number of steps in it. */
  readonly steps: number;
}

/** Clips gradients by their global norm, or each element by value. */
export type ClipOptions = { readonly norm: number } | { readonly value: number };

/** Clips gradients as torch does. @throws OnnxLoraError `CONFIG_INVALID` for a bound below 0 */
export function clip(options: ClipOptions): Transformation {
  const bound = notNegative('clip', 'norm' in options ? options.norm : options.value);
  return {
    name: 'clip',
    *gradients(gradients, { norm }) {
      // torch adds 1e-6 to avoid a division by 0.
      const factor = bound / (norm + 1e-6);
      for (const gradient of gradients.values()) {
        if (!('norm' in options)) yield* clamp(gradient, bound);
        else if (factor < 1) yield* multiply(gradient, factor);
      }
    },
  };
}

function clamp(values: Float32Array, bound: number): Generator<void, void> {
  return slices(values.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const g = values[i]!;
      values[i] = g > bound ? bound : g < -bound ? -bound : g;
    }
  });
}
