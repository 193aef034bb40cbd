/** @file Preparing a layer for a tuner, and applying the tuner's fragments. */

import { type AdapterConfig, configKeys } from '../../adapter/formats/peftConfig.ts';
import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import { biasReaders, byTensor, weightReader } from '../../adapter/merging/weightReaders.ts';
import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { floats } from '../../graph/tensorData.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { evaluate } from '../../ops/evaluate.ts';
import { inferNode } from '../../ops/infer.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32, sizeOf, tensor, type Tensor } from '../../runtime/tensor.ts';
import { kindOf } from '../kinds/table.ts';
import type { ByTensor, TensorNumbers, TargetLayer, TensorSpec, Tuner, TunerSettings } from '../tuner.ts';
import type { Edits, SavedTensors } from './moduleAdapter.ts';

/** A tuner with its settings. */
export interface ChosenTuner {
  /** The tuner. */
  readonly tuner: Tuner;
  /** Its own keys of `adapter_config.json`, with PEFT's defaults. */
  readonly settings: TunerSettings;
}

/** A layer to be adapted, and its name in PEFT. */
export interface AdaptedSite {
  /** The layer. */
  readonly site: Site;
  /** PEFT's name of it. */
  readonly module: string;
  /** The layer's tensor shapes in a loaded adapter. */
  readonly saved?: ByTensor<readonly number[]>;
  /** Reads a tensor of a loaded adapter by name, of this layer or another path. */
  readonly read?: (name: string, path?: string) => Tensor | undefined;
}

/** The tuner's settings in an adapter's config, with PEFT's defaults. */
export function tunerSettings({ defaults }: Tuner, config: AdapterConfig): TunerSettings {
  const keys = configKeys(config);
  return Object.fromEntries(Object.entries(defaults).map(([key, value]) => [key, keys.get(key) ?? value]));
}

export function layerOf(site: Site, path: string): TargetLayer {
  const { kind, weightShape, bias } = site;
  const [first = 0, second = 0] = weightShape;
  const [out, width] =
    kind === 'embedding' ? [second, first] : [first, kindOf(site).matrix(site).width / sizeOf(weightShape.slice(2))];
  const weight = (): Float32Array => {
    const { stored, layout } = site.weight;
    const own = stored.read();
    const [rows, columns] = stored.dims as [number, number];
    return kind === 'linear' && layout === 'in-out' ? transposed(own, rows, columns) : own.slice();
  };
  const ownBias = (): Float32Array | undefined => bias?.stored.read().slice();
  return { path, kind, in: width, out, weightShape, bias: bias !== undefined, weight, ownBias };
}

/** The base weight, if the tuner has declared that it reads it. @throws OnnxLoraError `PLUGIN_INVALID` */
export function weightOf(weight: Value | undefined, { name }: Tuner): Value {
  if (weight) return weight;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The change of the tuner "${name}" reads the weight, which it does not say. Give readsWeight: true beside delta.`,
  );
}

export function refused({ path }: Site, { name }: Tuner, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${path}" cannot be adapted by the tuner "${name}": the layer ${reason}. Leave it out (excludeModules), or adapt it by LoRA.`,
  );
}

export function refusedKind(site: Site, { kinds = ['linear'] }: Tuner): string | undefined {
  const { kind, recurrent, foldedScale, part } = site;
  if (part !== undefined) return `is one with others in "${part.of}"`;
  if (recurrent) return 'is recurrent, which only LoRA can adapt';
  if (foldedScale !== undefined) return 'has a normalisation in its weight';
  if (!kinds.includes(kind)) return `is a ${kind}, and the tuner adapts ${kinds.join(', ')} alone`;
  if (!kindOf(site).whole) return `is a ${kind}, which only LoRA can adapt`;
  return undefined;
}

/** Why a layer cannot be recomputed with another input. */
export function refusedApply({ arrange, nodes, input }: Site): string | undefined {
  if (arrange !== undefined) return 'has its features in another dimension than the last';
  if (!nodes[0]!.input!.includes(input)) return 'rounds its input before it multiplies';
  return undefined;
}

/** Why a layer's weight cannot be changed by factors. */
export function refusedFactors(site: Site): string | undefined {
  return kindOf(site).matrix(site).groups === 1
    ? undefined
    : 'is a convolution with groups, which factors cannot change';
}

/** Opset of the operators in tuners' weight fragments. */
const FRAGMENT_OPSET = 17;

/** Evaluates a fragment on an adapter's tensors, in double precision. */
export function evaluateFragment(
  saved: SavedTensors,
  fragment: (g: GraphBuilder, tensors: ByTensor<Value>, own: Value | undefined) => Value,
  own?: readonly [data: Float32Array, dims: readonly number[]],
): Float64Array {
  const g = new GraphBuilder({ opset: FRAGMENT_OPSET, infer: inferNode, prefix: 'merge/' });
  const value = (name: string, shape: readonly number[]): Value => ({ name, type: 'float32', shape });
  const given = [...saved].map(([role, { type, dims, data }]): readonly [Value, ArrayLike<number>] =>
    type === 'int32' || type === 'int64'
      ? [{ name: role, type, shape: dims }, Array.from(data as Int32Array, Number)]
      : [value(role, dims), floats({ type, dims, data })],
  );
  const tensors = Object.fromEntries(given.map(([each]) => [each.name, each]));
  const before = own && value('merge/own', own[1]);
  const result = fragment(g, tensors, before);
  return evaluate(g, [...given, ...(own ? [[before!, own[0]] as const] : [])], result);
}

/** Merge edits of a layer from functions of its weight in torch's layout and its bias. */
export function editsOf(
  site: Site,
  weight: (before: Float32Array) => ArrayLike<number>,
  bias?: (before: Float32Array) => ArrayLike<number>,
): Edits {
  const { path: module } = site;
  const asFloats = (own: ArrayLike<number>): Float32Array => (own instanceof Float32Array ? own : Float32Array.from(own)); // prettier-ignore
  const weights = byTensor(occurrencesOf(site), ({ weight: own }) => own.stored).map((places): WeightEdit => {
    const { stored, layout } = places[0].weight;
    const isTransposed = site.kind === 'linear' && layout === 'in-out';
    const [rows, columns] = stored.dims as [number, number];
    const change = (before: Float32Array): Float32Array => {
      const result = asFloats(weight(isTransposed ? transposed(before, rows, columns) : before));
      return isTransposed ? transposed(result, columns, rows) : result;
    };
    return { stored, readers: places.map(weightReader), change, module };
  });
  const change = bias && ((before: Float32Array): Float32Array => asFloats(bias(before)));
  const biases = change ? biasReaders(site).map((own): WeightEdit => ({ ...own, change, module })) : [];
  return { weights: [...weights, ...biases], biases: [] };
}

/** Values of a tuner's tensor, in its type. */
export function asTensor({ integers }: TensorSpec, numbers: TensorNumbers, dims: readonly number[]): Tensor {
  return integers ? tensor(integers.type, numbers, dims) : float32(numbers as Float32Array, dims);
}
