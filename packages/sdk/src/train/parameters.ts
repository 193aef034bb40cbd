/** @file The numbers that training moves: their first values, how they are fed, and the adapter they make. */

import { adaptedNorm } from '../adapter/dora.ts';
import { factorForGraph, floats } from '../adapter/feeds.ts';
import type { LowRankTensors, PlacedAdapter } from '../adapter/placed.ts';
import { tensorName } from '../adapter/tensorNames.ts';
import { tokenRows } from '../adapter/trainableTokens.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterInput, LowRankSite } from '../lora/plan.ts';
import { transposed } from '../runtime/layout.ts';
import type { Random } from '../runtime/random.ts';
import { float32, sizeOf, type Tensor } from '../runtime/tensor.ts';

/** One trained tensor, in the graph's layout. */
export interface Parameter {
  readonly input: AdapterInput;
  readonly dims: readonly number[];
  /** The values that the optimizer moves. lora_B and its bias without the scaling. */
  readonly value: Float32Array;
  /** What the graph reads: the values themselves, or for lora_B and its bias a copy times the scaling. */
  readonly fed: Tensor;
  /** fed = scale · value. */
  readonly scale: number;
}

/** First values of one module's factors, flat, in PEFT's layout. */
export interface FirstValues {
  readonly lora_A: Float32Array;
  readonly lora_B: Float32Array;
  /** Whether the layer starts at what the base computes, as the factors are taken out of it. */
  readonly isResidual: boolean;
}

/** Gives every injected input its first value. */
export class ParameterSet {
  readonly all: readonly Parameter[];

  constructor(all: readonly Parameter[]) {
    this.all = all;
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
    return new ParameterSet(
      inputs.map((input) => parameter(input, initialValue(input, random, scalingOf, first), scalingOf)),
    );
  }

  /** The values of an existing adapter. */
  static of(placed: PlacedAdapter, inputs: readonly AdapterInput[]): ParameterSet {
    const lowRank = new Map(placed.lowRank.map((each) => [each.lowRank.site.path, each]));
    const scalingOf = ({ site }: LowRankSite): number => lowRank.get(site.path)!.scaling;
    const trained = new Map(placed.trained.map((each) => [each.parameter.name, each.tensor]));
    return new ParameterSet(inputs.map((input) => parameter(input, existingValue(input, lowRank, trained), scalingOf)));
  }

  /** How many numbers are trained. */
  get count(): number {
    return this.all.reduce((sum, { value }) => sum + value.length, 0);
  }

  /** Brings what the graph reads up to date with the values. */
  refresh(): void {
    for (const { value, fed, scale } of this.all) {
      const data = fed.data as Float32Array;
      if (data !== value) for (let i = 0; i < value.length; i++) data[i] = scale * value[i]!;
    }
  }

  /** The tensors under PEFT's names and in PEFT's layout, copied. */
  tensors(): Map<string, Tensor> {
    return new Map(this.all.map(({ input, value, dims }) => toPeft(input, value, dims)));
  }
}

function parameter(
  input: AdapterInput,
  { value, dims }: { value: Float32Array; dims: readonly number[] },
  scalingOf: (lowRank: LowRankSite) => number,
): Parameter {
  const isScaled = input.role === 'lora_B' || input.role === 'lora_B.bias';
  const scale = isScaled && !input.lowRank!.tokens ? scalingOf(input.lowRank!) : 1;
  const data = isScaled ? value.map((each) => scale * each) : value;
  return { input, dims, value, fed: float32(data, dims), scale };
}

function initialValue(
  { role, lowRank, parameter: trained }: AdapterInput,
  random: Random,
  scalingOf: (lowRank: LowRankSite) => number,
  first: ReadonlyMap<string, FirstValues>,
): { value: Float32Array; dims: readonly number[] } {
  if (trained) return { value: trained.stored.read().slice(), dims: trained.stored.dims };
  const { site, r } = lowRank!;
  const kind = kindOf(site);
  const given = first.get(site.path);
  if (role === 'lora_A' || role === 'lora_B') {
    // Trained rows of a table start as they are: the factor is what is added to them.
    if (lowRank!.tokens) return valueOf(zeros(kind.graphShape(site, role, r!)));
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
  const { site } = input.lowRank!;
  return valueOf(factorForGraph(site, role, floats(role === 'lora_A' ? A : B), kindOf(site).rankOf(site, A.dims)));
}

function zeros(dims: readonly number[]): Tensor {
  return float32(new Float32Array(sizeOf(dims)), dims);
}

function valueOf({ data, dims }: Tensor): { value: Float32Array; dims: readonly number[] } {
  return { value: data as Float32Array, dims };
}

function toPeft(
  { role, lowRank, parameter: trained }: AdapterInput,
  value: Float32Array,
  dims: readonly number[],
): [string, Tensor] {
  if (trained) {
    const [rows, columns] = dims as [number, number];
    const tensor =
      trained.layout === 'in-out'
        ? float32(transposed(value, rows, columns), [columns, rows])
        : float32(value.slice(), trained.torchDims ?? dims);
    const name = trained.name.slice(trained.name.lastIndexOf('.') + 1);
    return [trained.savedAs ?? tensorName(trained.modulePath, 'parameter', name), tensor];
  }
  const { site, r } = lowRank!;
  const savedAs = lowRank!.savedAs ?? site.path;
  if (role === 'lora_B.bias') return [tensorName(savedAs, role), float32(value.slice(), [value.length])];
  if (role !== 'lora_A' && role !== 'lora_B')
    return [tensorName(savedAs, 'lora_magnitude_vector'), float32(value.slice(), dims)];
  if (lowRank!.tokens) return [tensorName(savedAs, 'trainable_tokens_delta'), tokenRows(site, lowRank!.tokens, value)];
  const kind = kindOf(site);
  return [
    tensorName(savedAs, kind.names[role]),
    float32(kind.fromGraph(site, role, value, r!), kind.factorShape(site, role, r!)),
  ];
}
