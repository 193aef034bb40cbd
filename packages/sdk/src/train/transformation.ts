/** @file Transformations: what stands around an optimizer's step, one after the other. */

import type { Tensor } from '../runtime/tensor.ts';
import type { ParameterSet } from './parameters.ts';

/** The step that a transformation belongs to. */
export interface TransformedStep {
  /** Steps before this one that moved something. */
  readonly step: number;
  /** The seed of the run: what is drawn by it and the step is the same in a run that goes on. */
  readonly seed: number;
  /** The Euclidean norm of all gradients together, before any transformation. */
  readonly norm: number;
}

/**
 * Changes gradients before the optimizer's step, or follows the parameters after it. A chain of transformations is a list of
 * them. Numbers are changed in place, in slices as an optimizer does.
 */
export interface Transformation {
  /** Its option, and the beginning of its tensors' names in checkpoints. */
  readonly name: string;
  /** Called once the parameters are known. */
  begin?(parameters: ParameterSet): void;
  /** Changes the gradients of a step, by the names of parameters. */
  gradients?(gradients: ReadonlyMap<string, Float32Array>, at: TransformedStep): Generator<void, void>;
  /** Called when the parameters have moved. */
  after?(parameters: ParameterSet): Generator<void, void>;
  /** Parameters to be evaluated and saved in place of these, copied. */
  readonly averaged?: (parameters: ParameterSet) => ParameterSet;
  /** All that it remembers; one that remembers nothing has neither this nor `load`. */
  state?(): TransformationState;
  /** @throws OnnxLoraError `FILE_INVALID` for a state of other parameters */
  readonly load?: (state: TransformationState, parameters: ParameterSet) => void;
}

/** What a transformation remembers. */
export interface TransformationState {
  /** By parameter: the memory itself, not a copy. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Steps that went into it. */
  readonly steps: number;
}
