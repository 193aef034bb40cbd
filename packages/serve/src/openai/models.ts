/** @file Models for OpenAI's clients, and the tasks that serve them. */

import { z } from 'zod';
import { HttpError } from '../http/errors.ts';
import { type Route, route } from '../http/routes.ts';
import { withAdapter, type Service } from '../http/service.ts';

/** Resolves a model name; adapters' names alone suffice. */
export function wantedModel({ name }: Service, model: string): { readonly model?: string; readonly adapter?: string } {
  return model === name || model.startsWith(`${name}:`) ? { model } : { adapter: model };
}

/** The first of these tasks that the model's family has. @throws HttpError 400 without any */
export function taskAmong({ name, base: { family } }: Service, names: readonly string[]): string {
  const found = family?.tasks.find((task) => names.includes(task));
  if (found !== undefined) return found;
  const own = family?.tasks.join(', ') ?? 'none';
  throw new HttpError(
    400,
    'MODEL_UNSUPPORTED',
    `"${name}" does not answer this: its tasks are ${own}. Ask by /predict or /v2.`,
  );
}

const model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int().describe('when the server began, in seconds'),
  owned_by: z.string(),
  parent: z.string().nullable(),
});
const began = Math.floor(Date.now() / 1000 - process.uptime());

function told({ name }: Service, id: string): z.infer<typeof model> {
  return { id, object: 'model', created: began, owned_by: 'onnx-lora', parent: id === name ? null : name };
}

/** The routes. */
export function modelRoutes(service: Service): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/models',
      summary: 'the base and its adapters, as models',
      answer: z.object({ object: z.literal('list'), data: z.array(model) }),
      handle: async ({ caller }) => {
        const names = (await service.catalog.list()).map(({ name }) => name).filter((name) => caller.mayUse(name));
        const ids = [service.name, ...[...new Set(names)].map((name) => `${service.name}:${name}`)];
        return { object: 'list', data: ids.map((id) => told(service, id)) };
      },
    }),
    route({
      method: 'GET',
      url: '/v1/models/:model',
      summary: 'the base, or an adapter, as a model',
      params: z.object({ model: z.string().describe('the base, "base:adapter", or an adapter alone') }),
      answer: model,
      handle: async ({ params, caller }) => {
        const adapter = await withAdapter(service, wantedModel(service, params.model), caller);
        return told(service, adapter ? `${service.name}:${adapter.name}` : service.name);
      },
    }),
  ];
}
