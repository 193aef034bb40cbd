/** @file What an optimizer remembers of each parameter between steps, and how that is saved and loaded. */

import { OnnxLoraError } from '../../errors.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import type { Optimizer, UpdateSettings } from './optimizer.ts';

/** What is remembered of one parameter. */
export interface Remembered<Slot extends string> {
  /** Updates begun so far. */
  step: number;
  /** By the name that torch has for them (`exp_avg`), zero at first. */
  readonly arrays: Readonly<Record<Slot, Float32Array>>;
}

/** An optimizer but for its memory. */
export interface UpdateRule<Slot extends string> extends Pick<Optimizer, 'name' | 'weightDecay'> {
  /** How many numbers are remembered under which name, of a parameter with these dimensions. */
  sizes(dims: readonly number[]): Readonly<Record<Slot, number>>;
  /** Moves one parameter as {@link Optimizer.update} says. */
  update(
    value: Float32Array,
    gradient: Float32Array,
    remembered: Remembered<Slot>,
    settings: UpdateSettings,
  ): Generator<void, void>;
  /** What is evaluated in place of a parameter that has been updated, as {@link Optimizer.evaluated} says. */
  evaluated?(value: Float32Array, remembered: Remembered<Slot>): Float32Array;
}

/** The optimizer of a rule. Its state has `parameter.slot` and `parameter.step` of every parameter that was updated. */
export function remembering<Slot extends string>(rule: UpdateRule<Slot>): Optimizer {
  const all = new Map<string, Remembered<Slot>>();
  const each = (
    dims: readonly number[],
    make: (slot: string, size: number) => Float32Array,
  ): Remembered<Slot>['arrays'] => {
    const entries = Object.entries<number>(rule.sizes(dims)).map(([slot, size]) => [slot, make(slot, size)] as const);
    return Object.fromEntries(entries) as Record<Slot, Float32Array>;
  };
  return {
    name: rule.name,
    weightDecay: rule.weightDecay,
    *update(name, value, gradient, settings) {
      const own = all.get(name) ?? { step: 0, arrays: each(settings.dims, (_, size) => new Float32Array(size)) };
      all.set(name, own);
      own.step++;
      yield* rule.update(value, gradient, own, settings);
    },
    ...(rule.evaluated && {
      evaluated: (name: string, value: Float32Array): Float32Array => {
        const own = all.get(name);
        return own ? rule.evaluated!(value, own) : value;
      },
    }),
    state() {
      const state = new Map<string, Tensor>();
      for (const [name, { step, arrays }] of all) {
        state.set(`${name}.step`, tensor('int32', Int32Array.of(step), []));
        for (const [slot, array] of Object.entries<Float32Array>(arrays))
          if (array.length > 0) state.set(`${name}.${slot}`, float32(array, [array.length]));
      }
      return state;
    },
    load(state, dims) {
      const loaded = new Map<string, Remembered<Slot>>();
      const known = new Set<string>();
      for (const [name, shape] of dims) {
        const step = state.get(`${name}.step`);
        // The loss may not depend on a parameter, which is then never updated.
        if (!step) continue;
        known.add(`${name}.step`);
        if (step.type !== 'int32' || step.data.length !== 1) throw invalid(`${name}.step`, 'is not one int32');
        const arrays = each(shape, (slot, size) => {
          if (size === 0) return new Float32Array(0);
          known.add(`${name}.${slot}`);
          return savedFloats(state, `${name}.${slot}`, size).slice();
        });
        loaded.set(name, { step: step.data[0] as number, arrays });
      }
      const stray = [...state.keys()].find((name) => !known.has(name));
      if (stray !== undefined) throw invalid(stray, 'belongs to no parameter of this run, or to another optimizer');
      all.clear();
      for (const [name, remembered] of loaded) all.set(name, remembered);
    },
  };
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
