/** @file Optimizer state per parameter, with saving and loading. */

import { OnnxLoraError } from '../../errors.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import type { Optimizer, OptimizerState, UpdateSettings } from './optimizer.ts';

/** An optimizer with its state per parameter, by name. */
export class OptimizerMemory {
  /** The optimizer. */
  readonly optimizer: Optimizer;
  readonly #all = new Map<string, OptimizerState>();

  /** Starts without state. */
  constructor(optimizer: Optimizer) {
    this.optimizer = optimizer;
  }

  /** Updates a parameter in place, as {@link Optimizer.update}. */
  *update(name: string, value: Float32Array, gradient: Float32Array, settings: UpdateSettings): Generator<void, void> {
    const own = this.#all.get(name) ?? { step: 0, arrays: this.optimizer.init(settings.dims) };
    this.#all.set(name, own);
    own.step++;
    yield* this.optimizer.update(value, gradient, own, settings);
  }

  /** The values to evaluate instead of a parameter's. */
  evaluated(name: string, value: Float32Array): Float32Array {
    const own = this.#all.get(name);
    return (own && this.optimizer.evaluated?.(value, own)) ?? value;
  }

  /** State arrays with a parameter's number of elements, not copied. */
  moments(name: string, size: number): Float32Array[] {
    return Object.values(this.#all.get(name)?.arrays ?? {}).filter(({ length }) => length === size);
  }

  /** Resets a parameter's state. */
  forget(name: string): void {
    this.#all.delete(name);
  }

  /** `parameter.slot` and `parameter.step` of every parameter, not copied: copy it before the next update. */
  state(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [name, { step, arrays }] of this.#all) {
      state.set(`${name}.step`, tensor('int32', Int32Array.of(step), []));
      for (const [slot, array] of Object.entries(arrays))
        if (array.length > 0) state.set(`${name}.${slot}`, float32(array, [array.length]));
    }
    return state;
  }

  /** Restores a state of parameters with these shapes. @throws OnnxLoraError `FILE_INVALID` for other parameters */
  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    const loaded = new Map<string, OptimizerState>();
    const known = new Set<string>();
    for (const [name, shape] of dims) {
      const step = state.get(`${name}.step`);
      // A parameter that does not affect the loss is never updated.
      if (!step) continue;
      known.add(`${name}.step`);
      if (step.type !== 'int32' || step.data.length !== 1) throw invalid(`${name}.step`, 'is not one int32');
      const arrays = this.optimizer.init(shape);
      for (const [slot, array] of Object.entries(arrays)) {
        if (array.length === 0) continue;
        known.add(`${name}.${slot}`);
        array.set(savedFloats(state, `${name}.${slot}`, array.length));
      }
      loaded.set(name, { step: step.data[0] as number, arrays });
    }
    const stray = [...state.keys()].find((name) => !known.has(name));
    if (stray !== undefined) throw invalid(stray, 'belongs to no parameter of this run, or to another optimizer');
    this.#all.clear();
    for (const [name, remembered] of loaded) this.#all.set(name, remembered);
  }
}

/** The float32 values of a saved tensor. @throws OnnxLoraError `FILE_INVALID` if it is missing or of another size */
export function savedFloats(state: ReadonlyMap<string, Tensor>, name: string, size: number): Float32Array {
  const saved = state.get(name);
  if (!saved) throw invalid(name, 'is missing');
  if (saved.type !== 'float32' || saved.data.length !== size)
    throw invalid(name, `has ${saved.data.length} numbers of type ${saved.type}, and not ${size} of float32`);
  return saved.data as Float32Array;
}

function invalid(name: string, problem: string): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `The saved state does not belong to this run: "${name}" ${problem}. Resume with the model, adapter and optimizer that it was saved with, or start over.`,
  );
}
