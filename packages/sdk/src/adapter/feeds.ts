/** @file What an injected graph is fed for an adapter, for the base, and for a batch that mixes them. */

import { OnnxLoraError } from '../errors.ts';
import { readFloats } from '../graph/tensorData.ts';
import type { Factor } from '../lora/kinds/kind.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterInput, AdapterInputRole } from '../lora/plan.ts';
import type { Site } from '../match/sites.ts';
import { transposed } from '../runtime/layout.ts';
import type { Provider } from '../runtime/session.ts';
import { float32, sizeOf, type Tensor } from '../runtime/tensor.ts';
import { doraGain } from './dora.ts';
import { scalingOf } from './peftConfig.ts';
import type { LowRankTensors, PlacedAdapter } from './place.ts';

/** Tensors by input name. */
export type AdapterFeeds = ReadonlyMap<string, Tensor>;

/**
 * The rank of the zeros that leave a module as it is. Rank 0 costs nothing, but a product over no columns ends the process
 * in ONNX Runtime's WebGPU provider; other GPU providers get a column of zeros too.
 */
export function idleRank(provider: Provider): 0 | 1 {
  return provider === 'cpu' ? 0 : 1;
}

/** The tensors that make an adapter act; every input gets one, those of modules it does not adapt the base's. */
export function adapterFeeds(placed: PlacedAdapter, inputs: readonly AdapterInput[], idle: 0 | 1): AdapterFeeds {
  const lowRank = new Map(placed.lowRank.map((each) => [each.lowRank.site.path, each]));
  const trained = new Map(placed.trained.map((each) => [each.parameter.name, each]));
  const prepared = new Map<string, LowRankFeeds>();
  return new Map(
    inputs.map((input) => {
      if (input.parameter) {
        const own = trained.get(input.parameter.name);
        return [input.name, own ? toGraphLayout(own.tensor, input) : baseFeed(input, idle)];
      }
      const { path } = input.lowRank!.site;
      const own = lowRank.get(path);
      if (!own) return [input.name, baseFeed(input, idle)];
      let tensors = prepared.get(path);
      if (!tensors) prepared.set(path, (tensors = lowRankFeeds(own, placed)));
      return [input.name, tensors[input.role as keyof LowRankFeeds] ?? baseFeed(input, idle)];
    }),
  );
}

/** The tensors that leave the base as it is: A and B of rank `idle`, gain 1, the base's own parameters. */
export function baseFeeds(inputs: readonly AdapterInput[], idle: 0 | 1): AdapterFeeds {
  return new Map(inputs.map((input) => [input.name, baseFeed(input, idle)]));
}

function baseFeed({ role, lowRank, parameter }: AdapterInput, idle: 0 | 1): Tensor {
  if (parameter) return float32(parameterInLayout(readFloats(parameter.tensor), parameter), wantedDims(parameter));
  const { site } = lowRank!;
  const kind = kindOf(site);
  if (role === 'lora_A' || role === 'lora_B') {
    const dims = factorDims(site, role, Math.max(idle, kind.leastRank(site)));
    return float32(new Float32Array(sizeOf(dims)), dims);
  }
  const dims = kind.perOutputShape(site);
  return float32(new Float32Array(sizeOf(dims)).fill(role === 'lora_gain' ? 1 : 0), dims);
}

type LowRankFeeds = Readonly<Partial<Record<AdapterInputRole, Tensor>>>;

function lowRankFeeds({ lowRank, A, B, magnitude, bias }: LowRankTensors, { adapter }: PlacedAdapter): LowRankFeeds {
  const { site } = lowRank;
  const { scaling } = scalingOf(adapter.config, site.path);
  const r = A.dims[0]!;
  const values = floats(B);
  const gain = magnitude && doraGain(site, { A: floats(A), B: values, r, scaling }, floats(magnitude));
  const row = values.length / kindOf(site).matrix(site).out;
  const scaled = values.map((value, i) => scaling * (gain ? gain[Math.floor(i / row)]! : 1) * value);
  const perOutput = kindOf(site).perOutputShape(site);
  return {
    lora_A: factorForGraph(site, 'lora_A', floats(A), r),
    lora_B: factorForGraph(site, 'lora_B', scaled, r),
    ...(gain ? { lora_gain: float32(gain, perOutput) } : {}),
    ...(bias
      ? {
          'lora_B.bias': float32(
            floats(bias).map((value) => scaling * value),
            perOutput,
          ),
        }
      : {}),
  };
}

/** Shape of a factor as the graph takes it. */
function factorDims(site: Site, factor: Factor, r: number): readonly number[] {
  const kind = kindOf(site);
  const dims = kind.factorShape(site, factor, r);
  return kind.transposesFactors ? dims.toReversed() : dims;
}

/** A factor from PEFT's layout in the graph's. */
export function factorForGraph(site: Site, factor: Factor, values: Float32Array, r: number): Tensor {
  const kind = kindOf(site);
  const dims = kind.factorShape(site, factor, r);
  if (!kind.transposesFactors) return float32(values.slice(), dims);
  const [rows, columns] = dims as [number, number];
  return float32(transposed(values, rows, columns), [columns, rows]);
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
  return float32(isTransposed ? transposed(data, rows, columns) : data, wantedDims(parameter!));
}

type Parameter = NonNullable<AdapterInput['parameter']>;

/** Linear weights are fed as `[in, out]`, whatever the graph stores; all else as torch has it. */
function wantsTransposed(parameter: Parameter): boolean {
  return parameter.layout !== 'torch';
}

function wantedDims(parameter: Parameter): number[] {
  const dims = [...(parameter.tensor.dims ?? [])];
  return parameter.layout === 'out-in' ? dims.reverse() : dims;
}

function parameterInLayout(data: Float32Array, parameter: Parameter): Float32Array {
  const [rows, columns] = (parameter.tensor.dims ?? []) as [number, number];
  return parameter.layout === 'out-in' ? transposed(data, rows, columns) : data;
}

/**
 * Joins the feeds of the rows of a batch: A becomes `[batch, in, r]` with the largest rank, smaller ones padded with
 * zeros, which changes nothing.
 *
 * @param rows feeds by row; equal objects for rows with the same adapter
 * @throws OnnxLoraError `INPUT_INVALID` when rows differ in what only a whole batch can exchange: some trained parameters,
 *   adapters of convolutions and embeddings
 */
export function mixedFeeds(rows: readonly AdapterFeeds[], inputs: readonly AdapterInput[]): AdapterFeeds {
  return new Map(
    inputs.map((input) => {
      const tensors = rows.map((feeds) => feeds.get(input.name)!);
      const [first] = tensors as [Tensor, ...Tensor[]];
      if (tensors.every((tensor) => tensor === first || same(tensor, first))) return [input.name, first];
      if (!input.perRow) throw cannotMix(input);
      if (input.role === 'lora_A') return [input.name, stackPadded(tensors, first.dims[0]!, 'columns')];
      if (input.role === 'lora_B') return [input.name, stackPadded(tensors, first.dims[1]!, 'rows')];
      return [input.name, stackRows(tensors)];
    }),
  );
}

function cannotMix({ name, parameter, lowRank }: AdapterInput): OnnxLoraError {
  const what = lowRank
    ? `adapt the ${lowRank.site.kind} "${lowRank.site.path}" in different ways`
    : `train different values of "${parameter?.name ?? name}"`;
  return new OnnxLoraError(
    'INPUT_INVALID',
    `The adapters of this batch ${what}, which cannot be mixed in one batch. Run one batch per adapter.`,
  );
}

function same(a: Tensor, b: Tensor): boolean {
  return (
    a.data.length === b.data.length &&
    a.dims.join() === b.dims.join() &&
    a.data.every((value, i) => value === b.data[i])
  );
}

/** `[out]` per row → `[batch, 1, out]`; `[in, out]` per row → `[batch, in, out]`. */
function stackRows(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors as [Tensor, ...Tensor[]];
  const size = first.data.length;
  const data = new Float32Array(size * tensors.length);
  tensors.forEach((tensor, i) => data.set(tensor.data as Float32Array, i * size));
  return float32(data, first.dims.length === 1 ? [tensors.length, 1, size] : [tensors.length, ...first.dims]);
}

/** Matrices `[fixed, r]` (rank in the columns) or `[r, fixed]` (in the rows), padded to the largest r. */
function stackPadded(tensors: readonly Tensor[], fixed: number, rankIn: 'rows' | 'columns'): Tensor {
  const axis = rankIn === 'columns' ? 1 : 0;
  const rank = Math.max(...tensors.map((tensor) => tensor.dims[axis]!));
  const data = new Float32Array(tensors.length * fixed * rank);
  tensors.forEach((tensor, i) => {
    const own = tensor.dims[axis]!;
    const source = tensor.data as Float32Array;
    const base = i * fixed * rank;
    if (rankIn === 'rows') data.set(source, base);
    else for (let k = 0; k < fixed; k++) data.set(source.subarray(k * own, (k + 1) * own), base + k * rank);
  });
  return float32(data, rankIn === 'columns' ? [tensors.length, fixed, rank] : [tensors.length, rank, fixed]);
}
