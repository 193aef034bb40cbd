/** @file The numbers that training moves: their first values, how they are fed, and the adapter they make. */

import { adaptedNorm } from '../adapter/dora.ts';
import { factorForGraph, floats } from '../adapter/feeds.ts';
import type { LowRankTensors, PlacedAdapter } from '../adapter/placed.ts';
import { tensorName } from '../adapter/tensorNames.ts';
import { tableRows } from '../adapter/trainableTokens.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterInput, LowRankSite } from '../lora/plan.ts';
import { transposed } from '../runtime/layout.ts';
import type { Random } from '../runtime/random.ts';
import { float32, sizeOf, type Tensor } from '../runtime/tensor.ts';
import { slices } from './turns.ts';

/** One trained tensor, in the graph's layout. */
export interface Parameter {
  /** The graph input through which it enters. */
  readonly input: AdapterInput;
  /** Shape of `value` in the graph. */
  readonly dims: readonly number[];
  /** The values that the optimizer moves. lora_B and its bias without the scaling. */
  readonly value: Float32Array;
  /** What the graph reads: the values themselves, or for lora_B and its bias a copy times the scaling. */
  readonly fed: Tensor;
  /** fed = scale · value, less the base. */
  readonly scale: number;
  /** Of trained rows of a table, the table's: the graph reads what the trained ones are more. */
  readonly base?: Float32Array;
}

/** First values of one module's factors, flat, in PEFT's layout. */
export interface FirstValues {
  /** `[r, in]`, row by row. */
  readonly lora_A: Float32Array;
  /** `[out, r]`, row by row. */
  readonly lora_B: Float32Array;
  /** Whether the layer starts at what the base computes, as the factors are taken out of it. */
  readonly isResidual: boolean;
}

/** Gives every injected input its first value. */
export class ParameterSet {
  /** The parameters, in the order of the graph's inputs. */
  readonly all: readonly Parameter[];
  /** Parameters that are the same numbers, one turned. */
  readonly #twins: ReadonlyMap<Parameter, Parameter>;

  /** Of given parameters; {@link ParameterSet.initial} and {@link ParameterSet.of} make them. */
  constructor(all: readonly Parameter[]) {
    this.all = all;
    const pairs = all.flatMap((each) => {
      const twin = twinOf(each, all);
      return twin ? ([[each, twin], [twin, each]] as const) : []; // prettier-ignore
    });
    this.#twins = new Map(pairs);
  }

  /**
   * PEFT's default initialisation: A uniform in ±1/√in (Kaiming with a = √5), B zero; of an embedding A zero and B normal;
   * DoRA's magnitude the norm of the weight, trained parameters the base's.
   *
   * @param first other first factors, by module path
   */
  static initial(
    inputs: readonly AdapterInput[],
    random: Random,
    scalingOf: (lowRank: LowRankSite) => number,
    first: ReadonlyMap<string, FirstValues> = new Map(),
  ): ParameterSet {
    const set = new ParameterSet(
      inputs.map((input) => parameter(input, initialValue(input, random, scalingOf, first), scalingOf)),
    );
    for (const each of set.all) if (!each.input.lowRank?.tiedTo) set.share(each);
    set.refresh();
    return set;
  }

  /** The values of an existing adapter. */
  static of(placed: PlacedAdapter, inputs: readonly AdapterInput[]): ParameterSet {
    const lowRank = new Map(placed.lowRank.map((each) => [each.lowRank.site.path, each]));
    const scalingOf = ({ site }: LowRankSite): number => lowRank.get(site.path)!.scaling;
    const trained = new Map(placed.trained.map((each) => [each.parameter.name, each.tensor]));
    const tuned = new Map(placed.tuned.map((each) => [each.tuned.site.path, each.tensors]));
    return new ParameterSet(
      inputs.map((input) => {
        const own = input.tuned && tuned.get(input.tuned.of.site.path)!.get(input.tuned.tensor)!;
        const value = own ? { value: floats(own).slice(), dims: own.dims } : existingValue(input, lowRank, trained);
        return parameter(input, value, scalingOf);
      }),
    );
  }

  /** How many numbers are trained. */
  get count(): number {
    const own = this.all.filter((each) => !this.#twins.has(each) || !each.input.lowRank!.tiedTo);
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
    for (const { value, fed, scale, base } of this.all) {
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
      this.all.map((each) => {
        const own = (values.get(each.input.name) ?? each.value).slice();
        return { ...each, value: own, fed: fedOf(own, each) };
      }),
    );
  }

  /** The tensors under PEFT's names and in PEFT's layout, copied. */
  tensors(): Map<string, Tensor> {
    return new Map(this.all.map(({ input, value, dims }) => [peftNameOf(input), toPeft(input, value, dims)]));
  }
}

function parameter(
  input: AdapterInput,
  { value, dims }: { value: Float32Array; dims: readonly number[] },
  scalingOf: (lowRank: LowRankSite) => number,
): Parameter {
  const isScaled = input.role === 'lora_B' || input.role === 'lora_B.bias';
  const { tokens, site } = input.lowRank ?? {};
  const scale = isScaled && !tokens ? scalingOf(input.lowRank!) : 1;
  const base = tokens ? tableRows(site!, tokens) : undefined;
  const parts = { dims, scale, ...(base ? { base } : {}) };
  return { input, value, ...parts, fed: fedOf(value, parts) };
}

/** What the graph reads of values; the values themselves where that is the same. */
function fedOf(value: Float32Array, { dims, scale, base }: Pick<Parameter, 'dims' | 'scale' | 'base'>): Tensor {
  if (base)
    return float32(
      value.map((each, i) => each - base[i]!),
      dims,
    );
  return float32(scale === 1 ? value : value.map((each) => scale * each), dims);
}

/** The parameter of an embedding that a tied layer's is the transpose of. */
function twinOf({ input: { role, lowRank } }: Parameter, all: readonly Parameter[]): Parameter | undefined {
  if (!lowRank?.tiedTo || lowRank.tokens || (role !== 'lora_A' && role !== 'lora_B')) return undefined;
  const other = role === 'lora_A' ? 'lora_B' : 'lora_A';
  return all.find(({ input }) => input.role === other && input.lowRank?.site === lowRank.tiedTo!.site);
}

function initialValue(
  { role, lowRank, parameter: trained, tuned }: AdapterInput,
  random: Random,
  scalingOf: (lowRank: LowRankSite) => number,
  first: ReadonlyMap<string, FirstValues>,
): { value: Float32Array; dims: readonly number[] } {
  if (trained) return { value: trained.stored.read().slice(), dims: trained.stored.dims };
  if (tuned) {
    const own = tuned.of.tuning.tensors[tuned.tensor]!;
    return { value: own.first(random), dims: own.dims };
  }
  const { site, r } = lowRank!;
  const kind = kindOf(site);
  const given = first.get(site.path);
  if (role === 'lora_A' || role === 'lora_B') {
    // Trained rows of a table start as they are.
    if (lowRank!.tokens) return { value: tableRows(site, lowRank!.tokens), dims: kind.graphShape(site, role, r!) };
    const values = given?.[role] ?? kind.initial(site, role, sizeOf(kind.factorShape(site, role, r!)), random);
    return valueOf(factorForGraph(site, role, values, r!));
  }
  if (role === 'lora_B.bias')
    return { value: new Float32Array(kind.matrix(site).out), dims: kind.perOutputShape(site) };
  const none = new Float32Array(0);
  const factors =
    given && !given.isResidual
      ? { A: given.lora_A, B: given.lora_B, r: r!, scaling: scalingOf(lowRank!) }
      : { A: none, B: none, r: 0, scaling: 1 };
  return { value: adaptedNorm(site, factors), dims: kind.perOutputShape(site) };
}

function existingValue(
  input: AdapterInput,
  lowRank: ReadonlyMap<string, LowRankTensors>,
  trained: ReadonlyMap<string, Tensor>,
): { value: Float32Array; dims: readonly number[] } {
  if (input.parameter) {
    const { layout, stored, name } = input.parameter;
    const own = trained.get(name)!;
    const [rows, columns] = own.dims as [number, number];
    return {
      value: layout === 'in-out' ? transposed(floats(own), rows, columns) : floats(own).slice(),
      dims: stored.dims,
    };
  }
  const { A, B, magnitude, bias } = lowRank.get(input.lowRank!.site.path)!;
  const { role } = input;
  if (role === 'lora_B.bias')
    return { value: floats(bias!).slice(), dims: kindOf(input.lowRank!.site).perOutputShape(input.lowRank!.site) };
  if (role !== 'lora_A' && role !== 'lora_B') return { value: floats(magnitude!).slice(), dims: magnitude!.dims };
  const { site, tokens } = input.lowRank!;
  if (tokens) {
    // B `[dim, n]` is what they are more than the table's.
    const rows = tableRows(site, tokens);
    const more = floats(B);
    const dims = [tokens.length, rows.length / tokens.length] as const;
    return { value: rows.map((each, i) => each + more[(i % dims[1]) * dims[0] + Math.floor(i / dims[1])]!), dims };
  }
  return valueOf(factorForGraph(site, role, floats(role === 'lora_A' ? A : B), kindOf(site).rankOf(site, A.dims)));
}

function valueOf({ data, dims }: Tensor): { value: Float32Array; dims: readonly number[] } {
  return { value: data as Float32Array, dims };
}

/** PEFT's name of the tensor that an input carries. */
export function peftNameOf({ role, lowRank, parameter: trained, tuned }: AdapterInput): string {
  if (tuned) return tensorName(tuned.of.savedAs ?? tuned.of.site.path, 'parameter', tuned.tensor);
  if (trained) {
    const name = trained.name.slice(trained.name.lastIndexOf('.') + 1);
    return trained.savedAs ?? tensorName(trained.modulePath, 'parameter', name);
  }
  const { site, savedAs = site.path, tokens } = lowRank!;
  if (role === 'lora_B.bias') return tensorName(savedAs, role);
  if (role !== 'lora_A' && role !== 'lora_B') return tensorName(savedAs, 'lora_magnitude_vector');
  return tensorName(savedAs, tokens ? 'trainable_tokens_delta' : kindOf(site).names[role]);
}

/** The values in PEFT's layout, copied. */
function toPeft(
  { role, lowRank, parameter: trained, tuned }: AdapterInput,
  value: Float32Array,
  dims: readonly number[],
): Tensor {
  if (tuned) return float32(value.slice(), dims);
  if (trained) {
    const [rows, columns] = dims as [number, number];
    return trained.layout === 'in-out'
      ? float32(transposed(value, rows, columns), [columns, rows])
      : float32(value.slice(), trained.torchDims ?? dims);
  }
  const { site, r, tokens } = lowRank!;
  if (role === 'lora_B.bias') return float32(value.slice(), [value.length]);
  if (role !== 'lora_A' && role !== 'lora_B') return float32(value.slice(), dims);
  if (tokens) return float32(value.slice(), dims);
  const kind = kindOf(site);
  return float32(kind.fromGraph(site, role, value, r!), kind.factorShape(site, role, r!));
}
