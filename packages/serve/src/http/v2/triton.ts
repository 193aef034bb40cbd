/** @file Triton's extensions: model configuration, statistics, and the model repository. */

import { z } from 'zod';
import type { Caller } from '../../operation/access.ts';
import type { Duration } from '../../operation/modelStatistics.ts';
import { inputInvalid } from '../errors.ts';
import { type Route, route } from '../routes.ts';
import { BASE_VERSION, withAdapter, type Service } from '../service.ts';
import { metadataOf, type Named } from './infer.ts';

/** Triton's `ModelConfig`. */
export interface ModelConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly max_batch_size: number;
  readonly input: readonly ConfiguredPort[];
  readonly output: readonly ConfiguredPort[];
}

/** An input or output, without the batch dimension of batched models. */
export interface ConfiguredPort {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
}

/** A model's configuration; batched if all ports start with an open dimension. @throws OnnxLoraError as `resolved` */
export async function configOf(service: Service, named: Named, caller: Caller): Promise<ModelConfig> {
  const { name, platform, inputs, outputs } = await metadataOf(service, named, caller);
  const hasRows = [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);
  const port = ({ name: called, datatype, shape }: (typeof inputs)[number]): ConfiguredPort => ({
    name: called,
    data_type: `TYPE_${datatype}`,
    dims: hasRows ? shape.slice(1) : shape,
  });
  const max_batch_size = hasRows ? service.maxRows : 0;
  return { name, platform, backend: 'onnxruntime', max_batch_size, input: inputs.map(port), output: outputs.map(port) };
}

/** Triton's `ModelStatistics`. */
export interface StatisticsMessage {
  readonly name: string;
  readonly version: string;
  readonly last_inference: number;
  readonly inference_count: number;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<string, Duration>>;
  readonly batch_stats: readonly { readonly batch_size: number; readonly compute_input: Duration; readonly compute_infer: Duration; readonly compute_output: Duration }[]; // prettier-ignore
}

/** Statistics since the start, of a model or all of the caller's. @throws OnnxLoraError as `resolved` */
export async function statisticsOf(
  service: Service,
  named: Partial<Named>,
  caller: Caller,
): Promise<{ readonly model_stats: readonly StatisticsMessage[] }> {
  const { model } = named;
  if (model !== undefined) {
    const adapter = await withAdapter(service, { ...named, model }, caller);
    return { model_stats: [told(service, model, adapter?.version ?? BASE_VERSION, adapter?.key ?? null)] };
  }
  const adapters = (await service.catalog.list()).filter(({ name }) => caller.mayUse(name));
  const all = adapters.map(({ name, version, key }) => told(service, `${service.name}:${name}`, version, key));
  return { model_stats: [told(service, service.name, BASE_VERSION, null), ...all] };
}

function told({ statistics }: Service, name: string, version: string, key: string | null): StatisticsMessage {
  const { lastInference, rows, batches, success, fail, queue, compute, bySize } = statistics.of(key);
  // Joining and splitting of tensors counts as computing.
  const within = (count: number): Duration => ({ count, ns: 0 });
  const never = within(0);
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: rows,
    execution_count: batches,
    inference_stats: {
      success,
      fail,
      queue,
      compute_input: within(compute.count),
      compute_infer: compute,
      compute_output: within(compute.count),
      cache_hit: never,
      cache_miss: never,
    },
    batch_stats: [...bySize].map(([batch_size, infer]) => ({
      batch_size,
      compute_input: within(infer.count),
      compute_infer: infer,
      compute_output: within(infer.count),
    })),
  };
}

export interface ListedModel {
  readonly name: string;
  readonly version: string;
  readonly state: string;
}

const listed = z.object({ name: z.string(), version: z.string(), state: z.string() });

const named = z.object({ model: z.string().describe('"base:adapter"') });

/** The routes. */
export function repositoryRoutes(service: Service): Route[] {
  const change = (what: 'load' | 'unload', summary: string, make: typeof loadModel): Route =>
    route({
      method: 'POST',
      url: `/v2/repository/models/:model/${what}`,
      access: 'admin',
      summary,
      params: named,
      handle: async ({ params, caller, reply }) => {
        await make(service, params.model, caller);
        // Triton's clients read only the status.
        await reply.send();
        return undefined;
      },
    });
  return [
    route({
      method: 'POST',
      url: '/v2/repository/index',
      summary: 'the base and its adapters, as models',
      answer: z.array(listed),
      handle: ({ caller }) => modelsFor(service, caller),
    }),
    change('load', 'load an adapter before the first request for it', loadModel),
    change('unload', 'keep an adapter in memory no more; it is loaded again when it is asked for', unloadModel),
  ];
}

/** The base and the caller's adapters. */
export async function modelsFor(service: Service, caller: Caller): Promise<ListedModel[]> {
  const all = (await service.catalog.list()).filter(({ name }) => caller.mayUse(name));
  const adapters = all.map(({ name, version }) => ({ name: `${service.name}:${name}`, version, state: 'READY' }));
  return [{ name: service.name, version: BASE_VERSION, state: 'READY' }, ...adapters];
}

/** @throws OnnxLoraError as `resolved` */
export async function loadModel(service: Service, model: string, caller: Caller): Promise<void> {
  await (await service.variants.get(await withAdapter(service, { model }, caller))).session();
}

/** @throws OnnxLoraError `INPUT_INVALID` for the base; as `resolved` */
export async function unloadModel(service: Service, model: string, caller: Caller): Promise<void> {
  const adapter = await withAdapter(service, { model }, caller);
  if (!adapter) throw inputInvalid('The base stays in memory. Name an adapter: base:adapter.');
  service.forget(adapter.key);
}
