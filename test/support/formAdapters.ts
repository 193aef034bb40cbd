/** @file Random adapters of layer forms, and their deltas worked out number by number. */

import { deltaOf } from '../../packages/sdk/fixtures/deltaOf.ts';
import { Adapter } from '../../packages/sdk/src/adapter/adapter.ts';
import { type AdapterConfig, adapterConfig } from '../../packages/sdk/src/adapter/formats/peftConfig.ts';
import { placeAdapter, type PlacedAdapter } from '../../packages/sdk/src/adapter/naming/place.ts';
import { AdapterSession } from '../../packages/sdk/src/adapter/serving/session.ts';
import type { ModelProto } from '../../packages/sdk/src/graph/proto.ts';
import { OrtRuntime } from '../../packages/sdk/src/runtime/ort.ts';
import { findSites, type Site } from '../../packages/sdk/src/match/sites.ts';
import { prepareForMatching } from '../../packages/sdk/src/match/view.ts';
import { inferGraph } from '../../packages/sdk/src/ops/inferGraph.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import { sizeOf, type Tensor, tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import type { LayerForm } from './layerForms.ts';
import { randomFloats } from './storedWeights.ts';

type Formed = Pick<LayerForm, 'kind' | 'weightShape' | 'groups'>;

/** Options for an adapter of a test. */
export interface AdapterOptions {
  readonly r?: number;
  readonly alpha?: number;
  readonly dora?: boolean;
  readonly bias?: boolean;
  readonly seed?: number;
  /** Other entries of the config. */
  readonly config?: Partial<AdapterConfig>;
}

/** Names and shapes of the factors, as PEFT has them. */
function factorsOf({ kind, weightShape, groups = 1 }: Formed, r: number): [name: string, dims: readonly number[]][] {
  const [first, second, ...kernel] = weightShape as [number, number, ...number[]];
  if (kind === 'embedding') return [['lora_embedding_A', [r, first]], ['lora_embedding_B', [second, r]]]; // prettier-ignore
  if (kind === 'parameter') return [['lora_A.weight', [r * first, kernel[0]!]], ['lora_B.weight', [second, r * first]]]; // prettier-ignore
  if (kind === 'linear') return [['lora_A.weight', [r, second]], ['lora_B.weight', [first, r]]]; // prettier-ignore
  if (kind.startsWith('convTranspose')) return [['lora_A.weight', [r, first, ...kernel]], ['lora_B.weight', [second * groups, r / groups, ...kernel.map(() => 1)]]]; // prettier-ignore
  return [
    ['lora_A.weight', [r, second * groups, ...kernel]],
    ['lora_B.weight', [first, r / groups, ...kernel.map(() => 1)]],
  ];
}

/** A random adapter of the module `fc`. */
export function formAdapter(form: Formed, options: AdapterOptions = {}): Adapter {
  const { r = 2 * (form.groups ?? 1), alpha = 3 * r, dora = false, bias = false, seed = 9, config = {} } = options;
  const random = new Random(seed);
  const draw = (dims: readonly number[]): Tensor => tensor('float32', randomFloats(dims, random), dims);
  const { groups = 1 } = form;
  const isTransposed = form.kind.startsWith('convTranspose');
  const out = form.kind === 'embedding' || isTransposed ? form.weightShape[1]! * groups : form.weightShape[0]!;
  const perOutput = form.kind.startsWith('conv') ? [1, out, ...form.weightShape.slice(2).map(() => 1)] : [out];
  const tensors = factorsOf(form, r).map(([name, dims]): [string, Tensor] => [name, draw(dims)]);
  if (dora) {
    const magnitude = draw(perOutput);
    tensors.push(['lora_magnitude_vector', { ...magnitude, data: (magnitude.data as Float32Array).map((value) => 2 + value) }]); // prettier-ignore
  }
  if (bias) tensors.push(['lora_B.bias', draw([out])]);
  const parameters = form.kind === 'parameter' ? { targetParameters: ['fc.down'] } : { targetModules: ['fc'] };
  return new Adapter(
    adapterConfig({ r, loraAlpha: alpha, useDora: dora, loraBias: bias, ...parameters, ...config }),
    new Map(tensors.map(([name, value]) => [`base_model.model.fc.${name}`, value])),
  );
}

/** s·B·A in torch's layout; of a grouped convolution with the inputs of all groups, as the low-rank product reads them. */
export function formDelta({ kind, weightShape, groups = 1 }: Formed, adapter: Adapter): Tensor {
  const [first, second, third = 1] = weightShape as [number, number, number?];
  if (kind === 'parameter') return stackedDelta(weightShape, adapter);
  const delta = Float32Array.from(deltaOf(adapter).get('fc')!);
  if (kind.startsWith('convTranspose')) {
    // `[out, in, ...kernel]` as torch has it transposed: `[in, out, ...kernel]`.
    const [out, positions] = [second * groups, sizeOf(weightShape.slice(2))];
    const at = (i: number, o: number): Float32Array =>
      delta.subarray((o * first + i) * positions, (o * first + i + 1) * positions);
    const rows = Array.from({ length: first * out }, (_, n) => [...at(Math.floor(n / out), n % out)]);
    return tensor('float32', Float32Array.from(rows.flat()), [first, out, ...weightShape.slice(2)]);
  }
  if (kind !== 'embedding') return tensor('float32', delta, [first, second * groups, ...weightShape.slice(2)]);
  const rows = new Float32Array(first * second);
  for (let token = 0; token < first; token++)
    for (let i = 0; i < second; i++) rows[token * second + i] = delta[i * first + token]!;
  return tensor('float32', rows, [first, second * third]);
}

/**
 * `einsum('o r e, e r i -> e o i')` of B `[d1, r, experts]` and A `[experts, r, d2]`, as PEFT's ParamWrapper has it.
 * @see https://github.com/huggingface/peft/blob/main/src/peft/tuners/lora/layer.py
 */
function stackedDelta(weightShape: readonly number[], { config, tensors }: Adapter): Tensor {
  const [experts, outs, ins] = weightShape as [number, number, number];
  const [A, B] = ['lora_A', 'lora_B'].map((name) => tensors.get(`base_model.model.fc.${name}.weight`)!.data as Float32Array); // prettier-ignore
  const { r, loraAlpha: alpha } = config;
  const delta = new Float32Array(sizeOf(weightShape));
  for (let e = 0; e < experts; e++)
    for (let o = 0; o < outs; o++)
      for (let i = 0; i < ins; i++)
        for (let k = 0; k < r; k++)
          delta[(e * outs + o) * ins + i]! += (alpha / r) * B![(o * r + k) * experts + e]! * A![(e * r + k) * ins + i]!;
  return tensor('float32', delta, weightShape);
}

/** A model with its sites, as an opened one has them. */
export interface SitedModel {
  readonly model: ReturnType<typeof prepareForMatching>;
  readonly types: ReturnType<typeof inferGraph>;
  readonly sites: readonly Site[];
  readonly place: (adapter: Adapter) => PlacedAdapter;
}

/** Finds the sites of a model. */
export function sited(proto: ModelProto): SitedModel {
  const model = prepareForMatching(proto as Parameters<typeof prepareForMatching>[0]);
  const types = inferGraph(model);
  const sites = findSites(model.graph, { typeOf: (value) => types.get(value) });
  return { model, types, sites, place: (adapter) => placeAdapter(adapter, model.graph, sites, 'test') };
}

/** A session on the CPU that serves these adapters. */
export function serve(
  { model, types, place }: SitedModel,
  adapters: Readonly<Record<string, Adapter>>,
): Promise<AdapterSession> {
  return AdapterSession.create({
    base: model,
    types,
    adapters: Object.fromEntries(Object.entries(adapters).map(([name, adapter]) => [name, place(adapter)])),
    place: (adapter) => Promise.resolve(place(adapter)),
    runtime: new OrtRuntime(),
    options: { provider: 'cpu', threads: 1 },
    name: 'test',
  });
}
