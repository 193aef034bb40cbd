/** @file What an optimizer is: something that moves parameters against their gradients, and remembers. */

import type { Tensor } from '../../runtime/tensor.ts';

/** What one update of one parameter goes by. */
export interface UpdateSettings {
  /** Learning rate of this parameter at this step. */
  readonly lr: number;
  /** As torch means it for the same optimizer: decoupled (AdamW, Lion, Adafactor), or added to the gradient. */
  readonly weightDecay: number;
  /** Shape of the parameter. */
  readonly dims: readonly number[];
}

/**
 * An optimizer. Numbers are float32 between steps, as in torch; within a step JavaScript computes in float64.
 *
 * To have one of your own, implement this and hand it to the trainer as `optimizer`.
 */
export interface Optimizer {
  /** Says in a checkpoint which optimizer its state belongs to. */
  readonly name: string;
  /** What is decayed where neither the trainer nor a group says so. */
  readonly weightDecay: number;
  /**
   * Moves one parameter in place, in slices: each turn of the iterator does a part, so that the event loop can turn in
   * between. The whole is done when it has been iterated to its end.
   *
   * @param name tells parameters apart between steps
   */
  update(name: string, value: Float32Array, gradient: Float32Array, settings: UpdateSettings): Generator<void, void>;
  /**
   * Everything that it remembers, complete and exact: after {@link Optimizer.load}, updates give the same bits. The
   * tensors are the optimizer's own memory, so write or copy them before the next update.
   */
  state(): Map<string, Tensor>;
  /**
   * Takes over a state.
   *
   * @param dims shapes of the parameters by name
   * @throws OnnxLoraError `FILE_INVALID` where the state does not belong to these parameters
   */
  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void;
}
