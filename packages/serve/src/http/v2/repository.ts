/** @file Triton's model repository extension: which models there are, and which are in memory. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { z } from 'zod';
import type { Caller } from '../../operation/access.ts';
import { type Asked, type Route, route } from '../routes.ts';
import { BASE_VERSION, resolved, type Service } from '../service.ts';

/** A model of the repository. */
export interface ListedModel {
  readonly name: string;
  readonly version: string;
  readonly state: string;
}

const listed = z.object({ name: z.string(), version: z.string(), state: z.string() });

const named = z.object({ model: z.string().describe('"base:adapter"') });
type Named = z.infer<typeof named>;

/** The routes. */
export function repositoryRoutes(service: Service): Route[] {
  return [
    route({
      method: 'POST',
      url: '/v2/repository/index',
      summary: 'the base and its adapters, as models',
      answer: z.array(listed),
      handle: ({ caller }) => modelsFor(service, caller),
    }),
    route({
      method: 'POST',
      url: '/v2/repository/models/:model/load',
      access: 'admin',
      summary: 'load an adapter before the first request for it',
      params: named,
      handle: async (asked) => {
        await loadModel(service, asked.params.model, asked.caller);
        return empty(asked);
      },
    }),
    route({
      method: 'POST',
      url: '/v2/repository/models/:model/unload',
      access: 'admin',
      summary: 'keep an adapter in memory no more; it is loaded again when it is asked for',
      params: named,
      handle: async (asked) => {
        await unloadModel(service, asked.params.model, asked.caller);
        return empty(asked);
      },
    }),
  ];
}

/** The base and the adapters that somebody may use. */
export async function modelsFor(service: Service, caller: Caller): Promise<ListedModel[]> {
  const all = (await service.catalog.list()).filter(({ name }) => caller.mayUse(name));
  const adapters = all.map(({ name, version }) => ({ name: `${service.name}:${name}`, version, state: 'READY' }));
  return [{ name: service.name, version: BASE_VERSION, state: 'READY' }, ...adapters];
}

/** @throws OnnxLoraError as `resolved` */
export async function loadModel(service: Service, model: string, caller: Caller): Promise<void> {
  await (await service.variants.get(await resolved(service, { model }, caller))).session();
}

/** @throws OnnxLoraError `INPUT_INVALID` for the base; as `resolved` */
export async function unloadModel(service: Service, model: string, caller: Caller): Promise<void> {
  const adapter = await resolved(service, { model }, caller);
  if (!adapter) throw new OnnxLoraError('INPUT_INVALID', 'The base stays in memory. Name an adapter: base:adapter.');
  service.forget(adapter.key);
}

/** Triton's clients look at the status alone. */
async function empty({ reply }: Asked<Named, unknown>): Promise<undefined> {
  await reply.send();
  return undefined;
}
