/** @file `/status`: the page of the server's state, and its data. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Stage, stages } from '../../operation/counters.ts';
import type { QueryForm, ServerStatus } from './serverStatus.ts';
import { type Route, route } from '../routes.ts';
import type { Service } from '../service.ts';

/** Maximum listed adapters. */
const MOST_LISTED = 500;

const spread = z.object({ count: z.int(), mean: z.number(), p50: z.number(), p95: z.number(), p99: z.number() });

const serverStatus: z.ZodType<ServerStatus> = z.object({
  server: z.object({
    name: z.string(),
    version: z.string(),
    digest: z.string().describe("sha256 of the base's weights"),
    ready: z.boolean(),
    uptime: z.number().describe('seconds'),
  }),
  memory: z.object({
    resident: z.number().describe('bytes of the process'),
    limit: z.number().nullable().describe('maxMemoryBytes'),
    sessions: z.int().describe('graphs that are loaded'),
  }),
  queue: z.object({
    requests: z.int(),
    rows: z.int(),
    bytes: z.number(),
    batches: z.int().describe('that compute'),
    wait: z.number().describe('milliseconds that a request would wait now'),
  }),
  history: z
    .array(z.object({ answered: z.int(), refused: z.int(), failed: z.int(), mean: z.number() }))
    .describe('spans of ten seconds of the last half hour, the oldest first'),
  asking: z.union([
    z.object({ kind: z.enum(['chat', 'none']) }),
    z.object({ kind: z.literal('text'), column: z.string() }),
    z.object({ kind: z.literal('file'), endings: z.array(z.string()) }),
  ]),
  batches: z
    .object({ count: z.int(), requests: z.number(), rows: z.number(), adapters: z.number(), padding: z.number() })
    .describe('how many there were, and means of them'),
  stages: z
    .array(z.object({ stage: z.enum(stages as [Stage, ...Stage[]]), spread }))
    .describe('milliseconds of the latest 1,024 requests, or batches'),
  adapterCount: z.int(),
  adapters: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      digest: z.string(),
      bytes: z.number(),
      loaded: z.boolean().describe('whether it is in memory'),
      pinned: z.boolean(),
      current: z.boolean().describe('whether the name stands for it'),
    }),
  ),
  splits: z.array(z.object({ name: z.string(), shares: z.array(z.object({ to: z.string(), share: z.number() })) })),
  tenants: z.array(
    z.object({
      tenant: z.string(),
      weight: z.number(),
      waiting: z.int(),
      answered: z.int(),
      refused: z.int().describe('4xx'),
      failed: z.int().describe('5xx'),
    }),
  ),
  answers: z.array(z.object({ route: z.string(), status: z.int(), count: z.int() })),
  refusals: z.array(z.object({ reason: z.string(), count: z.int() })),
  failures: z.object({ gone: z.int().describe('clients that had gone before the answer') }),
});

/** The routes. */
export function statusRoutes(service: Service): Route[] {
  return [
    route({
      method: 'GET',
      url: '/',
      access: 'open',
      summary: 'leads to the page',
      handle: async ({ reply }) => {
        await reply.redirect('status');
        return undefined;
      },
    }),
    route({
      method: 'GET',
      url: '/status',
      access: 'open',
      summary: 'a page that shows what is loaded and how it does',
      answer: z.string(),
      answerType: 'text/html; charset=utf-8',
      handle: async ({ reply }) => {
        const { html, policy } = statusPage();
        reply
          .type('text/html; charset=utf-8')
          .header('content-security-policy', policy)
          .header('x-content-type-options', 'nosniff')
          .header('referrer-policy', 'no-referrer')
          .header('cache-control', 'no-store');
        return html;
      },
    }),
    route({
      method: 'GET',
      url: '/status.json',
      access: 'watch',
      summary: 'what the page shows',
      answer: serverStatus,
      handle: async ({ reply }) => {
        reply.header('cache-control', 'no-store');
        return statusOf(service);
      },
    }),
  ];
}

/** By the model's domain, since all adapters read the same inputs. */
function askingOf({ base: { family, registry } }: Service): QueryForm {
  if (!family) return { kind: 'none' };
  switch (family.domain) {
    case 'text':
      return family.tasks.includes('chat') ? { kind: 'chat' } : { kind: 'text', column: 'text' };
    case 'science':
      return { kind: 'text', column: 'sequence' };
    default: {
      const { domain: reads } = family;
      const own = registry.preprocessors.filter(({ domain }) => domain === reads);
      const endings = [...new Set(own.flatMap(({ fileEndings }) => fileEndings))];
      return endings.length > 0 ? { kind: 'file', endings } : { kind: 'none' };
    }
  }
}

async function statusOf(service: Service): Promise<ServerStatus> {
  const { name, version, base, catalog, store, scheduler, metrics, access } = service;
  const { tallies } = metrics;
  const loaded = service.loadedKeys();
  const stored = new Map((await store?.list())?.map((each) => [each.key, each]) ?? []);
  const all = (await catalog.list()).map((each) => {
    const own = stored.get(each.key);
    const { name: called, version: which, digest, bytes, key } = each;
    const [pinned, current] = [own?.isPinned ?? false, own?.isCurrent ?? true];
    return { name: called, version: which, digest, bytes, loaded: loaded.has(key), pinned, current };
  });
  const listed = [...all].sort((a, b) => Number(b.loaded) - Number(a.loaded) || (a.name < b.name ? -1 : 1));
  const splits = Object.entries(store?.splits ?? {}).map(([split, shares]) => {
    const total = shares.reduce((sum, { weight }) => sum + weight, 0);
    return {
      name: split,
      shares: shares.map((each) => ({
        to: [each.name ?? split, each.version].filter(Boolean).join(' '),
        share: each.weight / total,
      })),
    };
  });
  const { jobs, rows, bytes } = scheduler.waiting;
  return {
    server: { name, version, digest: await base.digest(), ready: service.isReady(), uptime: process.uptime() },
    memory: { resident: process.memoryUsage.rss(), limit: service.memoryLimit, sessions: service.sessionCount() },
    queue: { requests: jobs, rows, bytes, batches: scheduler.computing, wait: scheduler.wait('') },
    history: tallies.history,
    asking: askingOf(service),
    batches: tallies.batches,
    stages: tallies.times,
    adapterCount: all.length,
    adapters: listed.slice(0, MOST_LISTED),
    splits,
    tenants: [...tallies.tenants].map(([tenant, tally]) => {
      return { tenant, weight: access.weightOf(tenant), waiting: scheduler.waitingOf(tenant).jobs, ...tally };
    }),
    answers: [...tallies.answers],
    refusals: tallies.refusals,
    failures: { gone: tallies.clientsGone },
  };
}

interface StatusPage {
  readonly html: string;
  /** Content-Security-Policy: own script and style by hash, requests to this server. */
  readonly policy: string;
}

/** In execution order. */
const scripts = ['elements.js', 'charts.js', 'ask.js', 'status.js'];

let made: StatusPage | undefined;

function statusPage(): StatusPage {
  if (made) return made;
  const read = (name: string): string => readFileSync(new URL(`../../../page/${name}`, import.meta.url), 'utf8');
  const html = read('status.html')
    .replace('/* style */', () => read('status.css'))
    .replace('/* script */', () => scripts.map(read).join('\n'));
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(html, 'script')}'`,
    `style-src '${hashOf(html, 'style')}'`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return (made = { html, policy });
}

/** Hash of the page's only element of this name. */
function hashOf(html: string, element: string): string {
  const [, text] = new RegExp(`<${element}>(.*)</${element}>`, 's').exec(html) as unknown as [string, string];
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
