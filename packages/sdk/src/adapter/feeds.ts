/** @file What an injected graph is fed for an adapter, and for the base. */

import { readFloats } from '../graph/tensorData.ts';
import type { Factor } from '../lora/kinds/kind.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterInput, AdapterInputRole } from '../lora/plan.ts';
import type { Site } from '../match/sites.ts';
import { transposed } from '../runtime/layout.ts';
import type { Provider } from '../runtime/session.ts';
import { float32, sizeOf, type Tensor } from '../runtime/tensor.ts';
import { doraGain } from './dora.ts';
import type { LowRankTensors, PlacedAdapter } from './placed.ts';

/** Tensors by input name. */
export type AdapterFeeds = ReadonlyMap<string, Tensor>;

/**
 * The rank of the zeros that leave a module as it is. Rank 0 costs nothing, but a product over no columns ends the process
 * in ONNX Runtime's WebGPU provider; other GPU providers get a column of zeros too.
 */
export function idleRank(provider: Provider): 0 | 1 {
  return provider === 'cpu' ? 0 : 1;
}

/**
 * The tensors that make an adapter act: one per input of the modules and parameters that it changes. One after the other,
 * since the gains of DoRA take their time.
 */
export function* adapterFeeds(placed: PlacedAdapter, inputs: readonly AdapterInput[]): Generator<[string, Tensor]> {
  const lowRank = new Map(placed.lowRank.map((each) => [each.lowRank.site.path, each]));
  const trained = new Map(placed.trained.map((each) => [each.parameter.name, each]));
  const tuned = new Map(placed.tuned.map((each) => [each.tuned.site.path, each.tensors]));
  const prepared = new Map<string, LowRankFeeds>();
  for (const input of inputs) {
    if (input.parameter) {
      const own = trained.get(input.parameter.name);
      if (own) yield [input.name, toGraphLayout(own.tensor, input)];
      continue;
    }
    if (input.tuned) {
      const own = tuned.get(input.tuned.of.site.path)?.get(input.tuned.tensor);
      if (own) yield [input.name, float32(floats(own), own.dims)];
      continue;
    }
    const { path } = input.lowRank!.site;
    const own = lowRank.get(path);
    if (!own) continue;
    let tensors = prepared.get(path);
    if (!tensors) prepared.set(path, (tensors = lowRankFeeds(own)));
    const tensor = tensors[input.role as keyof LowRankFeeds];
    if (tensor) yield [input.name, tensor];
  }
}

/** The tensors that leave the base as it is: A and B of rank `idle`, gain 1, the base's own parameters, a tuner's idle values. */
export function baseFeeds(inputs: readonly AdapterInput[], idle: 0 | 1): AdapterFeeds {
  return new Map(inputs.map((input) => [input.name, baseFeed(input, idle)]));
}

function baseFeed({ role, lowRank, parameter, tuned }: AdapterInput, idle: 0 | 1): Tensor {
  if (tuned) {
    const own = tuned.of.tuning.tensors[tuned.tensor]!;
    return float32(own.idle(), own.dims);
  }
  if (parameter) return float32(parameterInLayout(parameter.stored.read(), parameter), wantedDims(parameter));
  const { site } = lowRank!;
  const kind = kindOf(site);
  if (role === 'lora_A' || role === 'lora_B') {
    const dims = kind.graphShape(site, role, Math.max(idle, kind.leastRank(site)));
    return float32(new Float32Array(sizeOf(dims)), dims);
  }
  const dims = kind.perOutputShape(site);
  return float32(new Float32Array(sizeOf(dims)).fill(role === 'lora_gain' ? 1 : 0), dims);
}

type LowRankFeeds = Readonly<Partial<Record<AdapterInputRole, Tensor>>>;

function lowRankFeeds({ lowRank, A, B, magnitude, bias, scaling }: LowRankTensors): LowRankFeeds {
  const { site } = lowRank;
  const r = kindOf(site).rankOf(site, A.dims);
  const values = floats(B);
  const gain = magnitude && doraGain(site, { A: floats(A), B: values, r, scaling }, floats(magnitude));
  const row = values.length / kindOf(site).matrix(site).out;
  const perOutput = (o: number): number => scaling * (gain?.[o] ?? 1) * (site.foldedScale?.[o] ?? 1);
  const hasOutputs = gain !== undefined || site.foldedScale !== undefined;
  const scaled = values.map((value, i) => (hasOutputs ? perOutput(Math.floor(i / row)) : scaling) * value);
  const outputShape = kindOf(site).perOutputShape(site);
  return {
    lora_A: factorForGraph(site, 'lora_A', floats(A), r),
    lora_B: factorForGraph(site, 'lora_B', scaled, r),
    ...(gain ? { lora_gain: float32(gain, outputShape) } : {}),
    ...(bias
      ? {
          'lora_B.bias': float32(
            floats(bias).map((value, o) => perOutput(o) * value),
            outputShape,
          ),
        }
      : {}),
  };
}

/** A factor from PEFT's layout in the graph's. */
export function factorForGraph(site: Site, factor: Factor, values: Float32Array, r: number): Tensor {
  const kind = kindOf(site);
  return float32(kind.toGraph(site, factor, values, r), kind.graphShape(site, factor, r));
}

/** A tensor's values as float32. */
export function floats(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data;
  const types: Partial<Record<Tensor['type'], number>> = { float16: 10, bfloat16: 16, float64: 11 };
  const { data } = tensor;
  return readFloats({
    dims: [...tensor.dims],
    dataType: types[tensor.type] ?? 0,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

function toGraphLayout(tensor: Tensor, { parameter }: AdapterInput): Tensor {
  const data = floats(tensor);
  const isTransposed = wantsTransposed(parameter!);
  const [rows, columns] = tensor.dims as [number, number];
  return float32(isTransposed ? transposed(data, rows, columns) : data, dimsOf(tensor, parameter!));
}

type Parameter = NonNullable<AdapterInput['parameter']>;

/** Linear weights are fed as `[in, out]`, whatever the graph stores; all else as torch has it. */
function wantsTransposed(parameter: Parameter): boolean {
  return parameter.layout !== 'torch';
}

function wantedDims(parameter: Parameter): number[] {
  const { dims } = parameter.stored;
  return parameter.layout === 'out-in' ? dims.toReversed() : [...dims];
}

/** As {@link wantedDims}, of a head with as many outputs as the adapter has. */
function dimsOf({ dims, data }: Tensor, parameter: Parameter): readonly number[] {
  const wanted = wantedDims(parameter);
  if (!parameter.isOpen || sizeOf(wanted) === data.length) return wanted;
  if (parameter.layout !== 'torch') return dims.toReversed();
  return dims.length === wanted.length ? dims : wanted.map((dim) => (dim === 1 ? 1 : data.length));
}

function parameterInLayout(data: Float32Array, parameter: Parameter): Float32Array {
  const [rows, columns] = parameter.stored.dims as [number, number];
  return parameter.layout === 'out-in' ? transposed(data, rows, columns) : data;
}
