/** @file What an optimizer is: something that moves parameters against their gradients, and remembers. */

import type { ByTensor, StepTensor } from '../../lora/tuner.ts';
import type { SiteKind } from '../../match/sites.ts';

/** What one update of one parameter goes by. */
export interface UpdateSettings {
  /** Learning rate of this parameter at this step. */
  readonly lr: number;
  /** As torch means it for the same optimizer: decoupled (AdamW, Lion, Adafactor), or added to the gradient. */
  readonly weightDecay: number;
  /** Shape of the parameter. */
  readonly dims: readonly number[];
  /** Its shape as PEFT and torch have it, which may be turned: A of a linear layer is `[r, in]` there and `[in, r]` in graphs. */
  readonly torchDims?: readonly number[];
}

/** What is trained of a module, for an optimizer that looks at several of its tensors together. */
export interface OptimizedModule<T> {
  /** torch's path of the module. */
  readonly path: string;
  /** What kind of layer it is; absent of recurrent layers, and of what is none. */
  readonly kind?: SiteKind;
  /** Of LoRA: what B·A is multiplied with. */
  readonly scaling?: number;
  /** By PEFT's word: `lora_A`, `lora_B`, `lora_magnitude_vector`; `parameter` of a weight or bias that is trained whole. */
  readonly tensors: ByTensor<T>;
}

/** What an optimizer remembers of one parameter. */
export interface Remembered<Slot extends string = string> {
  /** Updates begun so far. */
  step: number;
  /** By the name that torch has for them, such as `exp_avg`. */
  readonly arrays: Readonly<Record<Slot, Float32Array>>;
}

/**
 * An optimizer, which keeps nothing itself: the trainer holds what it remembers, and saves and loads it. Numbers are float32
 * between steps, as in torch; within a step JavaScript computes in float64.
 *
 * To have one of your own, implement this and hand it to `train` as `optimizer`.
 */
export interface Optimizer<Slot extends string = string> {
  /** Says in a checkpoint which optimizer its state belongs to. */
  readonly name: string;
  /** What is decayed where neither the trainer nor a group says so. */
  readonly weightDecay: number;
  /** The memory of a parameter of this shape before its first update. Arrays of length 0 are not saved. */
  init(dims: readonly number[]): Readonly<Record<Slot, Float32Array>>;
  /**
   * Moves one parameter in place, in slices: each turn of the iterator does a part, so that the event loop can turn in
   * between. The whole is done when it has been iterated to its end.
   */
  update(
    value: Float32Array,
    gradient: Float32Array,
    remembered: Remembered<Slot>,
    settings: UpdateSettings,
  ): Generator<void, void>;
  /**
   * Told before a run of all that there is to train, by how many numbers each tensor has: it may refuse. It gives, by the path
   * of the module, what it leaves as it begins. Of these no gradients are computed. Without, nothing is left.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` for a module that it cannot train
   */
  leaves?(modules: readonly OptimizedModule<number>[]): ReadonlyMap<string, readonly string[]>;
  /**
   * Before the updates of a step, and after clipping: may change gradients in place by what else a module has, in slices as
   * {@link Optimizer.update}. Shapes are those of graphs: of a linear layer A is `[in, r]`, and B `[r, out]`.
   */
  gradients?(modules: readonly OptimizedModule<StepTensor>[]): Generator<void, void>;
  /** The values to be evaluated and saved in place of a parameter's, which stay as they are; without, these themselves. */
  evaluated?(value: Float32Array, remembered: Remembered<Slot>): Float32Array;
}
