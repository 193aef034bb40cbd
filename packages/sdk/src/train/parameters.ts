/** @file The numbers that training moves: their first values, how they are fed, and the adapter they make. */

import type { AdapterInput, LaidOut } from '../lora/methods/tuning.ts';
import type { PlacedAdapter } from '../adapter/naming/place.ts';
import { transposed } from '../runtime/layout.ts';
import type { Random } from '../runtime/random.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { slices } from './turns.ts';

/** One trained tensor, in the graph's layout. */
export interface Parameter {
  /** The graph input through which it enters. */
  readonly input: AdapterInput;
  /** Shape of `value` in the graph. */
  readonly dims: readonly number[];
  /** The values that the optimizer moves. lora_B and its bias without the scaling. */
  readonly value: Float32Array;
  /** What the graph reads: the values themselves, or scale · value − base as the tensor has it, in a copy. */
  readonly fed: Tensor;
  /** Of integers: as a file has them. */
  readonly integers?: Tensor;
}

/** Gives every injected input its first value. */
export class ParameterSet {
  /** What is trained, in the order of the graph's inputs. */
  readonly all: readonly Parameter[];
  /** What tuners have beside it: without gradients, but for states never changed. */
  readonly still: readonly Parameter[];
  /** Parameters that are the same numbers, one turned. */
  readonly #twins: ReadonlyMap<Parameter, Parameter>;

  /** Of given parameters; {@link ParameterSet.initial} and {@link ParameterSet.of} make them. */
  constructor(parameters: readonly Parameter[]) {
    const all = parameters.filter(({ input }) => input.tensor.use === undefined);
    this.all = all;
    this.still = parameters.filter(({ input }) => input.tensor.use !== undefined);
    const pairs = all.flatMap((each) => {
      const twin = twinOf(each, all);
      return twin ? ([[each, twin], [twin, each]] as const) : []; // prettier-ignore
    });
    this.#twins = new Map(pairs);
  }

  /** The values that training begins with: PEFT's, or those that tunings have been given. */
  static initial(inputs: readonly AdapterInput[], random: Random): ParameterSet {
    const made = new Map<string, LaidOut>();
    const set = new ParameterSet(
      inputs.map((input) => {
        const values = input.tensor.first(random, (name) => made.get(name)!);
        made.set(input.tensor.name, values);
        return parameter(input, values);
      }),
    );
    for (const each of set.all) if (!each.input.tensor.twin) set.share(each);
    set.refresh();
    return set;
  }

  /** The values of an existing adapter. */
  static of({ tunings }: Pick<PlacedAdapter, 'tunings'>, inputs: readonly AdapterInput[]): ParameterSet {
    const saved = new Map(tunings.map((each) => [each.tuning.slot, each.saved]));
    return new ParameterSet(
      inputs.map((input) => {
        const slot = [input.tuning, ...input.others].map((each) => each.slot).find((each) => saved.has(each))!;
        return parameter(input, input.tensor.fromSaved(saved.get(slot)!));
      }),
    );
  }

  /** What a graph is fed. */
  fed(): Parameter[] {
    return [...this.all, ...this.still].filter(({ input }) => !input.isUnread);
  }

  /** What changes between steps without a gradient. */
  get states(): readonly Parameter[] {
    return this.still.filter(({ input }) => input.tensor.use === 'state');
  }

  /** How many numbers are trained. */
  get count(): number {
    const own = this.all.filter((each) => !this.#twins.has(each) || !each.input.tensor.twin);
    return own.reduce((sum, { value }) => sum + value.length, 0);
  }

  /**
   * Gives the values of a parameter to the one that is the same numbers turned, as of a layer that is tied to an embedding.
   * In PEFT both lie in the same memory, and an optimizer steps them one after the other.
   */
  share(parameter: Parameter): void {
    const [rows, columns] = parameter.dims as [number, number];
    this.#twins.get(parameter)?.value.set(transposed(parameter.value, rows, columns));
  }

  /** Brings what the graph reads up to date with the values. */
  refresh(): void {
    for (const _ of this.refreshInSlices());
  }

  /** As {@link ParameterSet.refresh}, a part at each turn of the iterator; done when iterated to the end. */
  *refreshInSlices(): Generator<void, void> {
    for (const {
      value,
      fed,
      input: {
        tensor: { scale, base },
      },
    } of this.all) {
      const data = fed.data as Float32Array;
      if (data === value) continue;
      yield* slices(value.length, (from, to) => {
        if (base) for (let i = from; i < to; i++) data[i] = value[i]! - base[i]!;
        else for (let i = from; i < to; i++) data[i] = scale * value[i]!;
      });
    }
  }

  /** The same parameters with other values, by the name of their input, copied. */
  withValues(values: ReadonlyMap<string, Float32Array>): ParameterSet {
    return new ParameterSet(
      [...this.all, ...this.still].map((each) => {
        const own = (values.get(each.input.name) ?? each.value).slice();
        return parameter(each.input, { ...each, value: own });
      }),
    );
  }

  /** The tensors under PEFT's names and in PEFT's layout, copied. */
  tensors(): Map<string, Tensor> {
    const saved = [...this.all, ...this.still].filter(({ input }) => !input.tensor.unsaved);
    return new Map(
      saved.flatMap(({ input: { tensor, tuning, others }, ...values }) => {
        const copies = tensor.inEach ? [tuning, ...others].map((own) => own.tensor(tensor.role).inEach!) : [];
        const written = tensor.toSaved(values);
        return [tensor.savedAs, ...copies].map((name) => [name, written] as const);
      }),
    );
  }
}

function parameter(input: AdapterInput, { value, dims, integers }: LaidOut): Parameter {
  if (integers) return { input, value, dims, fed: integers, integers };
  const { scale, base } = input.tensor;
  const fed = base ? value.map((each, i) => each - base[i]!) : scale === 1 ? value : value.map((each) => scale * each);
  return { input, value, dims, fed: float32(fed, dims) };
}

/** The parameter of an embedding that a tied layer's is the transpose of. */
function twinOf({ input: { tensor } }: Parameter, all: readonly Parameter[]): Parameter | undefined {
  const { twin } = tensor;
  return twin && all.find(({ input }) => input.tensor.role === twin.role && input.tuning.slot === twin.slot);
}
