/** @file Decomposes adapters for combining: low-rank pairs by module, and fully trained parameters. */

import { OnnxLoraError } from '../../errors.ts';
import { type Matrix, matrix } from '../../linalg/matrix.ts';
import { type Tensor, sizeOf } from '../../runtime/tensor.ts';
import type { Adapter } from '../adapter.ts';
import { floats } from '../../graph/tensorData.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { baseChangingInit, requireLora, variantOf } from '../formats/peftVariants.ts';
import { scalingOf } from '../formats/scaling.ts';
import { parseTensorName, tensorName, type TensorRole } from '../formats/tensorNames.ts';
import type { TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { type CombinePart, partName } from './options.ts';

/** A module's shape, equal in all its adapters. */
export interface LayerShape {
  readonly isEmbedding: boolean;
  readonly out: number;
  /** Groups of a convolution. A group's outputs see only its share of A's rows. */
  readonly groups: number;
  /** Dimensions of A after the rank: `[in]`, `[in, ...kernel]`, `[vocabulary]`. */
  readonly inner: readonly number[];
  /** Dimensions of B after the rank: a one per dimension of a kernel. */
  readonly ones: readonly number[];
}

/** The low-rank delta s·B·A of one module, in float64. */
export interface ModuleFactors {
  /** `[r, width]` */
  readonly A: Matrix;
  /** `[out, r / groups]` */
  readonly B: Matrix;
  readonly scaling: number;
  /** B's bias `[out]`, unscaled. */
  readonly bias?: Float64Array;
}

/** The tensors of one module. */
export interface ModulePart {
  readonly shape: LayerShape;
  readonly r: number;
  readonly hasBias: boolean;
  /** Converts on demand, so that only one module at a time is in float64. */
  factors(): ModuleFactors;
}

/** A fully trained parameter. */
export interface KeptParameter {
  readonly module: string;
  readonly parameter: string;
  readonly tensor: Tensor;
}

/** A model's parameter with an adapter's values. */
export function keptParameter({ name, modulePath: module }: TrainedParameter, tensor: Tensor): KeptParameter {
  return { module, parameter: name.slice(module === '' ? 0 : module.length + 1), tensor };
}

/** A decomposed adapter. */
export interface Source {
  readonly name: string;
  readonly weight: number;
  readonly config: AdapterConfig;
  readonly modules: ReadonlyMap<string, ModulePart>;
  readonly parameters: ReadonlyMap<string, KeptParameter>;
}

/** @throws OnnxLoraError `INPUT_INVALID` for kinds that cannot be combined; `ADAPTER_INVALID` for a broken adapter */
export function readSources(parts: readonly CombinePart[]): Source[] {
  return parts.map(({ adapter, weight = 1, name }, i) => readSource(adapter, weight, partName(name, i, parts.length)));
}

function readSource(adapter: Adapter, weight: number, name: string): Source {
  requirePlainLora(adapter, name);
  const { pairs, ...trained } = trainedInFull(adapter, name);
  const modules = new Map([...pairs].map(([path, tensors]) => [path, modulePart(path, tensors, adapter.config, name)]));
  return { ...trained, weight, config: adapter.config, modules };
}

/** An adapter's tensors by module, separate from its fully trained parameters. */
export function trainedInFull(
  { tensors: all }: Adapter,
  name: string,
): Pick<Source, 'name' | 'parameters'> & { readonly pairs: ReadonlyMap<string, ReadonlyMap<TensorRole, Tensor>> } {
  const pairs = new Map<string, Map<TensorRole, Tensor>>();
  const parameters = new Map<string, KeptParameter>();
  for (const [key, tensor] of all) {
    const { module, role, parameter } = parseTensorName(key);
    // A copy of the base changes nothing.
    if (role === 'base_layer.weight') continue;
    if (role === 'parameter' || role === 'base_layer.bias') {
      const own = parameter ?? 'bias';
      parameters.set(tensorName(module, role, own), { module, parameter: own, tensor });
    } else {
      const tensors = pairs.get(module) ?? new Map<TensorRole, Tensor>();
      pairs.set(module, tensors.set(role, tensor));
    }
  }
  return { name, pairs, parameters };
}

/** @throws OnnxLoraError `INPUT_INVALID` unless the adapter is a sum s·B·A on the base's own weights */
export function requirePlainLora({ config, tensors }: Adapter, name: string): void {
  requireLora(config, 'combined');
  const roles = new Set([...tensors.keys()].map((key) => parseTensorName(key).role));
  const no = (what: string, why: string, remedy: string): OnnxLoraError =>
    new OnnxLoraError('INPUT_INVALID', `${capitalised(name)} ${what}, which cannot be combined: ${why}. ${remedy}`);
  if (config.useDora || roles.has('lora_magnitude_vector')) {
    throw no(
      'is DoRA',
      "a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products",
      'Serve the adapter as it is, or train it without DoRA.',
    );
  }
  if (roles.has('trainable_tokens_delta')) {
    throw no(
      'has trained token embeddings',
      'they replace rows of the base, and weights cannot be applied to them without it',
      'Train the adapter without them.',
    );
  }
  if ((config.targetParameters?.length ?? 0) > 0) {
    throw no(
      'adapts bare parameters (target_parameters)',
      'their tensors do not say which parameter is meant',
      'Train the adapter on modules instead.',
    );
  }
  const variant = variantOf(config);
  if (variant !== undefined) {
    throw no(
      `is a variant of LoRA (${variant})`,
      "what it computes is not scaling times B times A on the layer's input",
      'Merge it in PEFT, or train it as plain LoRA.',
    );
  }
  const init = baseChangingInit(config);
  if (init !== undefined) {
    throw no(
      `counts from a base that its initialisation "${init}" has changed`,
      'the others count from the base itself',
      'Make it plain LoRA first: toPlainLora, or onnx-lora convert with --plain-from.',
    );
  }
}

const namings = [
  { isEmbedding: false, A: 'lora_A', B: 'lora_B' },
  { isEmbedding: true, A: 'lora_embedding_A', B: 'lora_embedding_B' },
] as const;

function modulePart(
  path: string,
  tensors: ReadonlyMap<TensorRole, Tensor>,
  config: AdapterConfig,
  name: string,
): ModulePart {
  const naming = namings.find(({ A, B }) => tensors.has(A) || tensors.has(B)) ?? namings[0];
  const A = tensors.get(naming.A);
  const B = tensors.get(naming.B);
  if (!A || !B) throw invalid(name, `holds only half of module "${path}": ${A ? naming.B : naming.A} is missing`);
  const [r = 0, ...inner] = A.dims;
  const [out = 0, perGroup = 0, ...ones] = B.dims;
  const groups = r / perGroup;
  const fits = r > 0 && out > 0 && Number.isInteger(groups) && out % groups === 0;
  if (!fits || inner.length === 0 || sizeOf(inner) === 0 || sizeOf(ones) !== 1) {
    throw invalid(
      name,
      `has ${naming.A} [${A.dims.join(', ')}] and ${naming.B} [${B.dims.join(', ')}] of module "${path}", whose shapes do not fit`,
    );
  }
  const bias = tensors.get('lora_B.bias');
  if (bias && bias.data.length !== out)
    throw invalid(name, `has a lora_B.bias of ${bias.data.length} values for the ${out} outputs of "${path}"`);
  const values = (tensor: Tensor, what: string): Float32Array => {
    const numbers = floats(tensor);
    if (numbers.every(Number.isFinite)) return numbers;
    throw invalid(name, `has values in the ${what} of "${path}" that are not finite`);
  };
  return {
    shape: { isEmbedding: naming.isEmbedding, out, groups, inner, ones },
    r,
    hasBias: bias !== undefined,
    factors: () => ({
      A: matrix(r, sizeOf(inner), values(A, naming.A)),
      B: matrix(out, perGroup, values(B, naming.B)),
      scaling: scalingOf(config, path).scaling,
      ...(bias ? { bias: Float64Array.from(values(bias, 'lora_B.bias')) } : {}),
    }),
  };
}

function invalid(name: string, what: string): OnnxLoraError {
  return new OnnxLoraError('ADAPTER_INVALID', `${capitalised(name)} ${what}. Copy or save it again.`);
}

/** Capitalises a sentence. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` if the module's shape differs between adapters */
export function commonShape(
  path: string,
  parts: readonly { readonly source: Source; readonly part: ModulePart }[],
): LayerShape {
  const [first, ...rest] = parts as [(typeof parts)[number], ...typeof parts];
  const words = (shape: LayerShape): string =>
    JSON.stringify([shape.isEmbedding, shape.out, shape.groups, shape.inner, shape.ones]);
  const other = rest.find(({ part }) => words(part.shape) !== words(first.part.shape));
  if (!other) return first.part.shape;
  const shown = ({ isEmbedding, out, groups, inner }: LayerShape): string =>
    `${isEmbedding ? 'embedding ' : ''}${inner.join('×')} → ${out}${groups > 1 ? ` in ${groups} groups` : ''}`;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${capitalised(first.source.name)} and ${other.source.name} are of different models: "${path}" is ${shown(first.part.shape)} in the first, and ${shown(other.part.shape)} in the second. Combine adapters of one base model.`,
  );
}
