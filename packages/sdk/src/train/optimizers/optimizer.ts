/** @file The contract of optimizers. */

import type { ByTensor, StepTensor } from '../../lora/tuner.ts';
import type { SiteKind } from '../../match/sites.ts';

/** Settings of one update of one parameter. */
export interface UpdateSettings {
  /** Learning rate of this parameter at this step. */
  readonly lr: number;
  /** As in torch's optimizer: decoupled (AdamW, Lion, Adafactor), or added to the gradient. */
  readonly weightDecay: number;
  /** Shape of the parameter. */
  readonly dims: readonly number[];
  /** Its shape in PEFT and torch, which may be transposed: A of a linear layer is `[r, in]` there. */
  readonly torchDims?: readonly number[];
}

/** A module's trained tensors, for optimizers that combine them. */
export interface OptimizedModule<T> {
  /** torch's module path. */
  readonly path: string;
  /** Kind of layer; absent for recurrent layers and other modules. */
  readonly kind?: SiteKind;
  /** LoRA's factor of B·A. */
  readonly scaling?: number;
  /** By PEFT's words: `lora_A`, `lora_B`, `lora_magnitude_vector`; `parameter` for a fully trained weight or bias. */
  readonly tensors: ByTensor<T>;
}

/** Optimizer state of one parameter. */
export interface OptimizerState<Slot extends string = string> {
  /** Number of updates so far. */
  step: number;
  /** By torch's names, such as `exp_avg`. */
  readonly arrays: Readonly<Record<Slot, Float32Array>>;
}

/**
 * An optimizer without internal state: the trainer holds it. Pass your own implementation to `train` as `optimizer`.
 * Values are float32 between steps, as in torch; within a step JavaScript computes in float64.
 */
export interface Optimizer<Slot extends string = string> {
  /** Identifies the optimizer of a checkpoint. */
  readonly name: string;
  /** Weight decay unless the trainer or a group sets it. */
  readonly weightDecay: number;
  /** State of a parameter of this shape before its first update. Arrays of length 0 are not saved. */
  init(dims: readonly number[]): Readonly<Record<Slot, Float32Array>>;
  /** Updates one parameter in place, in slices: a generator that yields between them to the event loop. */
  update(
    value: Float32Array,
    gradient: Float32Array,
    remembered: OptimizerState<Slot>,
    settings: UpdateSettings,
  ): Generator<void, void>;
  /**
   * Called before a run with the number of elements of each tensor. Returns tensors to freeze, by module path, which
   * get no gradients; without it, none.
   * @throws OnnxLoraError `CONFIG_INVALID` for a module that it cannot train
   */
  leaves?(modules: readonly OptimizedModule<number>[]): ReadonlyMap<string, readonly string[]>;
  /** Called before updates, after clipping: may change gradients in place, in slices, in the graph's shapes. */
  gradients?(modules: readonly OptimizedModule<StepTensor>[]): Generator<void, void>;
  /** The values to evaluate and save instead of a parameter's; by default these themselves. */
  evaluated?(value: Float32Array, remembered: OptimizerState<Slot>): Float32Array;
}
