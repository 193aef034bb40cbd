/** @file What an optimizer remembers of each parameter between steps, and how that is saved and loaded. */

import { OnnxLoraError } from '../../errors.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';

/** What is remembered of one parameter. */
export interface Remembered<Slot extends string> {
  /** Updates made so far. */
  step: number;
  readonly arrays: Readonly<Record<Slot, Float32Array>>;
}

/** Arrays by parameter and by the name that torch has for them (`exp_avg`), zero at first. */
export class Memory<Slot extends string> {
  readonly #sizes: (dims: readonly number[]) => Readonly<Record<Slot, number>>;
  readonly #all = new Map<string, Remembered<Slot>>();

  /** @param sizes how many numbers are remembered under which name, of a parameter with these dimensions */
  constructor(sizes: (dims: readonly number[]) => Readonly<Record<Slot, number>>) {
    this.#sizes = sizes;
  }

  /** What is remembered of a parameter. */
  of(name: string, dims: readonly number[]): Remembered<Slot> {
    let remembered = this.#all.get(name);
    if (!remembered) {
      remembered = { step: 0, arrays: this.#each(dims, (_, size) => new Float32Array(size)) };
      this.#all.set(name, remembered);
    }
    return remembered;
  }

  /** `parameter.slot` and `parameter.step` of every parameter that was updated; the memory itself, not a copy. */
  state(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [name, { step, arrays }] of this.#all) {
      state.set(`${name}.step`, tensor('int32', Int32Array.of(step), []));
      for (const [slot, array] of Object.entries<Float32Array>(arrays))
        if (array.length > 0) state.set(`${name}.${slot}`, float32(array, [array.length]));
    }
    return state;
  }

  /** Takes over a state, as a copy. */
  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    const loaded = new Map<string, Remembered<Slot>>();
    const known = new Set<string>();
    for (const [name, shape] of dims) {
      const step = state.get(`${name}.step`);
      // The loss may not depend on a parameter, which is then never updated.
      if (!step) continue;
      known.add(`${name}.step`);
      if (step.type !== 'int32' || step.data.length !== 1) throw invalid(`${name}.step`, 'is not one int32');
      const arrays = this.#each(shape, (slot, size) => {
        if (size === 0) return new Float32Array(0);
        known.add(`${name}.${slot}`);
        return savedFloats(state, `${name}.${slot}`, size).slice();
      });
      loaded.set(name, { step: step.data[0] as number, arrays });
    }
    const stray = [...state.keys()].find((name) => !known.has(name));
    if (stray !== undefined) throw invalid(stray, 'belongs to no parameter of this run, or to another optimizer');
    this.#all.clear();
    for (const [name, remembered] of loaded) this.#all.set(name, remembered);
  }

  #each(
    dims: readonly number[],
    make: (slot: string, size: number) => Float32Array,
  ): Readonly<Record<Slot, Float32Array>> {
    const entries = Object.entries<number>(this.#sizes(dims)).map(([slot, size]) => [slot, make(slot, size)] as const);
    return Object.fromEntries(entries) as Record<Slot, Float32Array>;
  }
}

/**
 * The float32 numbers of a saved tensor.
 *
 * @throws OnnxLoraError `FILE_INVALID` where it is missing, or not of this size
 */
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
    `The saved state does not belong to this run: "${name}" ${problem}. Resume with the model, adapter and optimizer that it was saved with, or start anew.`,
  );
}
