/** @file Routes for admin keys: upload, activate, pin, split and delete adapters. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import type { StoredVersion } from '../../adapters/catalog.ts';
import { splitSchema } from '../../adapters/manifest.ts';
import type { AdapterStore } from '../../adapters/store.ts';
import { jsonBody } from '../json.ts';
import { type Route, type RouteRequest, route } from '../routes.ts';
import { withAdapter, type Service } from '../service.ts';
import { sentForm } from '../predict/uploadedFiles.ts';

const named = z.object({ name: z.string().max(128) });
type Named = z.infer<typeof named>;

const stored: z.ZodType<StoredVersion> = z.object({
  name: z.string(),
  version: z.string(),
  digest: z.string(),
  bytes: z.number(),
  isCurrent: z.boolean(),
  isPinned: z.boolean(),
  uploaded: z.string(),
});

const uploadQuery = z.object({
  version: z.string().optional().describe('by default the beginning of the digest'),
  digest: z.string().optional().describe('sha256 of the config and the weights, one behind the other'),
  signature: z.string().optional().describe('ed25519 of NAME@DIGEST, in base64'),
  activate: z.enum(['true', 'false']).optional().describe('whether the name stands for it from then on'),
});

const whole = z.object({ version: z.string().optional().describe('all versions without one') });
const activation = z.object({ version: z.string() });
const pinning = z.object({ pinned: z.boolean(), version: z.string().optional() });
const splitting = z.object({ shares: splitSchema.nullable().describe('null ends the split') });
const done = z.object({ done: z.literal(true) });

/** The routes; they fail without a store. */
export function adminRoutes(service: Service, maxUploadBytes: number): Route[] {
  const store = (): AdapterStore => {
    if (service.store) return service.store;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'This server keeps no adapters of clients. Start it with a folder for them: store.',
    );
  };
  const change = <Body, Query = unknown>(
    method: Route['method'],
    url: string,
    summary: string,
    schemas: { readonly body?: z.ZodType<Body>; readonly query?: z.ZodType<Query> },
    make: (asked: RouteRequest<Named, Query>, body: Body) => Promise<void>,
  ): Route =>
    route({
      method,
      url,
      access: 'admin',
      summary,
      params: named,
      ...(schemas.query && { query: schemas.query }),
      ...(schemas.body && { body: { 'application/json': schemas.body } }),
      answer: done,
      handle: async (asked) => {
        await make(asked, (schemas.body && (await jsonBody(schemas.body, asked.body))) as Body);
        return { done: true };
      },
    });
  return [
    route({
      method: 'PUT',
      url: '/adapters/:name',
      access: 'admin',
      summary: 'bring an adapter; it is kept when this answers',
      params: named,
      query: uploadQuery,
      maxBodyBytes: maxUploadBytes,
      body: { 'multipart/form-data': 'adapter_config.json and adapter_model.safetensors, each a file' },
      answer: stored,
      handle: async ({ params, query: { activate, version, digest, signature }, body, request }) => {
        const { files } = sentForm(body, request.headers['content-type']);
        return store().upload({
          name: params.name,
          files: files.map(({ name, bytes }) => ({ name, size: bytes.length, content: once(bytes) })),
          ...withoutUndefined({ version, digest, signature }),
          activate: activate !== 'false',
        });
      },
    }),
    change(
      'DELETE',
      '/adapters/:name',
      'delete an adapter',
      { query: whole },
      async ({ params: { name }, query: { version } }) => {
        const gone = (await store().list()).filter(
          (each) => each.name === name && (version ?? each.version) === each.version,
        );
        await store().delete(name, version);
        for (const { key } of gone) service.forget(key);
      },
    ),
    change(
      'POST',
      '/adapters/:name/activate',
      'have a name stand for a version',
      { body: activation },
      ({ params: { name } }, { version }) => store().activate(name, version),
    ),
    change(
      'POST',
      '/adapters/:name/pin',
      'keep an adapter in memory and from being deleted',
      { body: pinning },
      ({ params: { name } }, { version, pinned }) => store().pin(name, version, pinned),
    ),
    change(
      'POST',
      '/adapters/:name/split',
      'split the requests for a name between versions or adapters',
      { body: splitting },
      ({ params: { name } }, { shares }) => store().split(name, shares),
    ),
    change(
      'POST',
      '/adapters/:name/load',
      'load an adapter before the first request for it',
      { query: whole },
      async ({ params: { name }, query: { version }, caller }) => {
        const adapter = await withAdapter(service, { adapter: name, version }, caller);
        await (await service.variants.get(adapter)).session();
      },
    ),
  ];
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
