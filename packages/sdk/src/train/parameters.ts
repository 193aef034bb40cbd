/** @file Trained parameters: initial values, feeds, and export as an adapter. */

import type { AdapterInput, AdapterTensor, InLayout } from '../lora/methods/moduleAdapter.ts';
import type { PlacedAdapter } from '../adapter/naming/place.ts';
import { transposed } from '../runtime/layout.ts';
import type { Random } from '../runtime/random.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { slices } from './slices.ts';

/** A trained tensor, in the graph's layout. */
export interface Parameter {
  /** Its graph input. */
  readonly input: AdapterInput;
  /** Shape of `value` in the graph. */
  readonly dims: readonly number[];
  /** The values that the optimizer updates; lora_B and its bias without the scaling. */
  readonly value: Float32Array;
  /** The value fed to the graph: `value` itself, or a copy of scale · value − base. */
  readonly fed: Tensor;
  /** An integer tensor, as in a file. */
  readonly integers?: Tensor;
}

/** All parameters of the injected inputs. */
export class ParameterSet {
  /** Trained parameters, in the order of the graph's inputs. */
  readonly all: readonly Parameter[];
  /** Untrained tensors of tuners: constant, except for states. */
  readonly buffers: readonly Parameter[];
  /** Pairs of tied parameters, one the transpose of the other. */
  readonly #twins: ReadonlyMap<Parameter, Parameter>;

  /** Holds given parameters; see {@link ParameterSet.initial} and {@link ParameterSet.of}. */
  constructor(parameters: readonly Parameter[]) {
    const all = parameters.filter(({ input }) => input.tensor.use === undefined);
    this.all = all;
    this.buffers = parameters.filter(({ input }) => input.tensor.use !== undefined);
    const pairs = all.flatMap((each) => {
      const twin = twinOf(each, all);
      return twin ? ([[each, twin], [twin, each]] as const) : []; // prettier-ignore
    });
    this.#twins = new Map(pairs);
  }

  /** The initial values: PEFT's, or those of the tunings. */
  static initial(inputs: readonly AdapterInput[], random: Random): ParameterSet {
    const made = new Map<string, InLayout>();
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

  /** The parameters that the graph reads. */
  fed(): Parameter[] {
    return [...this.all, ...this.buffers].filter(({ input }) => !input.isUnread);
  }

  /** Tensors that change between steps without a gradient. */
  get states(): readonly Parameter[] {
    return this.buffers.filter(({ input }) => input.tensor.use === 'state');
  }

  /** Number of trained values. */
  get count(): number {
    const own = this.all.filter((each) => !this.#twins.has(each) || !each.input.tensor.twin);
    return own.reduce((sum, { value }) => sum + value.length, 0);
  }

  /** Copies a parameter to its tied transpose. In PEFT both share memory, and are stepped one after the other. */
  share(parameter: Parameter): void {
    const [rows, columns] = parameter.dims as [number, number];
    this.#twins.get(parameter)?.value.set(transposed(parameter.value, rows, columns));
  }

  /** Updates the fed values. */
  refresh(): void {
    for (const _ of this.refreshInSlices());
  }

  /** As {@link ParameterSet.refresh}, yielding after each slice. */
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

  /** A copy with other values, by input name. */
  withValues(values: ReadonlyMap<string, Float32Array>): ParameterSet {
    return new ParameterSet(
      [...this.all, ...this.buffers].map((each) => {
        const own = (values.get(each.input.name) ?? each.value).slice();
        return parameter(each.input, { ...each, value: own });
      }),
    );
  }

  /** The tensors of a file, with PEFT's names and layout, copied. */
  tensors(): Map<string, Tensor> {
    return this.#inPeft(({ tensor, values }) => tensor.inFile?.(values));
  }

  /** As {@link ParameterSet.tensors}, of gradients: each trained tensor itself, where others replace it in files. */
  gradients(): Map<string, Tensor> {
    return this.#inPeft(() => undefined);
  }

  #inPeft(
    replaced: (own: {
      readonly tensor: AdapterTensor;
      readonly values: InLayout;
    }) => ReadonlyMap<string, Tensor> | undefined,
  ): Map<string, Tensor> {
    const saved = [...this.all, ...this.buffers].filter(({ input }) => !input.tensor.unsaved);
    return new Map(
      saved.flatMap(({ input: { tensor, tuning, others: sharers }, ...values }) => {
        const others = replaced({ tensor, values });
        if (others) return [...others];
        const copies = tensor.inEach ? [tuning, ...sharers].map((own) => own.tensor(tensor.role).inEach!) : [];
        const written = tensor.toSaved(values);
        return [tensor.savedAs, ...copies].map((name) => [name, written] as const);
      }),
    );
  }
}

function parameter(input: AdapterInput, { value, dims, integers }: InLayout): Parameter {
  if (integers) return { input, value, dims, fed: integers, integers };
  const { scale, base } = input.tensor;
  const fed = base ? value.map((each, i) => each - base[i]!) : scale === 1 ? value : value.map((each) => scale * each);
  return { input, value, dims, fed: float32(fed, dims) };
}

/** The parameter of an embedding that a tied layer's transposes. */
function twinOf({ input: { tensor } }: Parameter, all: readonly Parameter[]): Parameter | undefined {
  const { twin } = tensor;
  return twin && all.find(({ input }) => input.tensor.role === twin.role && input.tuning.slot === twin.slot);
}
