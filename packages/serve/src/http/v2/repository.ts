/** @file Triton's model repository extension: lists, loads and unloads models. */

import { z } from 'zod';
import type { Caller } from '../../operation/access.ts';
import { inputInvalid } from '../errors.ts';
import { type Route, route } from '../routes.ts';
import { BASE_VERSION, resolved, type Service } from '../service.ts';

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
  await (await service.variants.get(await resolved(service, { model }, caller))).session();
}

/** @throws OnnxLoraError `INPUT_INVALID` for the base; as `resolved` */
export async function unloadModel(service: Service, model: string, caller: Caller): Promise<void> {
  const adapter = await resolved(service, { model }, caller);
  if (!adapter) throw inputInvalid('The base stays in memory. Name an adapter: base:adapter.');
  service.forget(adapter.key);
}
