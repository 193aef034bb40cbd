/** @file Routes about the server: adapters, metrics, OpenAPI. */

import { z } from 'zod';
import type { AdapterInfo } from '../../adapters/catalog.ts';
import { METRICS_TYPE } from '../../operation/metrics.ts';
import { openApi } from '../openapi.ts';
import { type Route, route } from '../routes.ts';
import type { Service } from '../service.ts';

/** A listed adapter. */
export interface ListedAdapter extends Omit<AdapterInfo, 'key'> {
  /** Whether it is loaded. */
  readonly loaded: boolean;
}

/** The base and its adapters. */
export interface AdapterListing {
  /** The base model. */
  readonly base: {
    /** Name in URLs. */
    readonly name: string;
    /** sha256 of its weights. */
    readonly digest: string;
  };
  /** Adapters with all versions. */
  readonly adapters: readonly ListedAdapter[];
}

const adapterList: z.ZodType<AdapterListing> = z.object({
  base: z.object({ name: z.string(), digest: z.string().describe('sha256 of its weights') }),
  adapters: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      digest: z.string().describe('sha256 of its files'),
      bytes: z.number(),
      loaded: z.boolean().describe('whether it is in memory'),
    }),
  ),
});

/** The routes, which describe `others` and themselves. */
export function aboutRoutes(service: Service, others: readonly Route[]): Route[] {
  const own: Route[] = [
    route({
      method: 'GET',
      url: '/adapters',
      summary: 'the adapters that there are',
      answer: adapterList,
      handle: async ({ caller }) => {
        const loaded = service.loadedKeys();
        const all = (await service.catalog.list()).filter(({ name }) => caller.mayUse(name));
        return {
          base: { name: service.name, digest: await service.base.digest() },
          adapters: all.map(({ name, version, digest, bytes, key }) => ({ name, version, digest, bytes, loaded: loaded.has(key) })), // prettier-ignore
        };
      },
    }),
    route({
      method: 'GET',
      url: '/metrics',
      access: 'open',
      summary: 'numbers in the format of Prometheus',
      answer: z.string(),
      answerType: METRICS_TYPE,
      handle: async ({ reply }) => {
        reply.type(METRICS_TYPE);
        return service.metrics.text();
      },
    }),
    route({
      method: 'GET',
      url: '/openapi.json',
      access: 'open',
      summary: 'this description',
      answer: z.record(z.string(), z.unknown()),
      handle: async () => (description ??= openApi([...others, ...own], service.version)),
    }),
  ];
  let description: unknown;
  return own;
}
