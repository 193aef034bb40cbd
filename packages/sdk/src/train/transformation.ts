/** @file The contract of transformations around an optimizer's step. */

import type { Tensor } from '../runtime/tensor.ts';
import type { ParameterSet } from './parameters.ts';

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
  /** Its option, and the prefix of its tensors in checkpoints. */
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
