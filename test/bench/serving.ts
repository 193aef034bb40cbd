/**
 * @file What a server does under load: a thousand adapters asked for by Zipf's law, beside one adapter, and beside a merged model
 * behind a plain loop, that computes one request after the other.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, float32, merge, type Model, openModel, OrtRuntime } from '@onnx-lora/sdk';
import { Random, writeOnnx } from '@onnx-lora/sdk/core';
import { randomAdapter } from '@onnx-lora/sdk/testing';
import { serve } from '@onnx-lora/serve';
import { vitModel } from '../fixtures/vit.ts';
import type { LoadFigures, LoadOrder } from './load.ts';
import type { Sizes } from './settings.ts';
import { runChild } from './spawn.ts';
import { median } from './statistics.ts';

/** How much is measured. */
export interface ServingSettings {
  readonly sizes: Sizes;
  /** Sides of the images: large ones compute as long in a batch as alone, small ones are as short texts are. */
  readonly images: readonly number[];
  readonly adapters: number;
  /** Seconds of each load. */
  readonly seconds: number;
  /** How often all clients send as much as they can, in turn with one adapter and with all. */
  readonly rounds: number;
  /** Rates, as parts of what the server can do with one adapter. */
  readonly levels: readonly number[];
  /** Adapters that are asked for the first time. */
  readonly cold: number;
}

/** ViT-S/16, and a thousand adapters for its queries and values. */
export const servingSettings = (sizes: Sizes): ServingSettings => {
  return { sizes, images: [224, 64], adapters: 1000, seconds: 20, rounds: 3, levels: [0.25, 0.5, 0.75, 0.9], cold: 30 };
};
/** To try the benchmark itself. */
export const quickServing = (sizes: Sizes): ServingSettings => {
  return { sizes, images: [sizes.image], adapters: 20, seconds: 0.5, rounds: 1, levels: [0.5], cold: 3 };
};

const CLIENTS = 16;

/** Measures, and prints tables of what is found. */
export async function measureServing(
  program: string,
  { images, sizes, ...settings }: ServingSettings,
  print: (line: string) => void,
): Promise<void> {
  for (const image of images) {
    print(`images of ${image}²: ${(image / sizes.patch) ** 2 + 1} positions`);
    await measureImages(program, { ...settings, sizes: { ...sizes, image } }, print);
  }
}

async function measureImages(
  program: string,
  { sizes, adapters, seconds, rounds, levels, cold }: Omit<ServingSettings, 'images'>,
  print: (line: string) => void,
): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-serving-'));
  try {
    const file = path.join(folder, 'vit.onnx');
    writeOnnx(file, vitModel(sizes));
    const model = await openModel(file);
    const runs = path.join(folder, 'runs');
    const one = await writeAdapters(model, sizes, runs, adapters + cold);
    await using server = await serve(model, { adapters: runs, port: 0, name: 'vit' });
    await merge(model, one, path.join(folder, 'merged'));
    await using plain = await plainLoop(path.join(folder, 'merged'), sizes);
    const url = `${server.url}/v2/models/vit/infer`;
    const dims = [1, 3, sizes.image, sizes.image];
    let seed = 1;
    const load = async (order: Omit<LoadOrder, 'dims' | 'seed'>): Promise<LoadFigures> =>
      (await runChild(program, { load: { ...order, dims, seed: seed++ } })) as LoadFigures;

    // All of them have been asked for once: what that costs is measured by itself.
    await load({ url, adapters, rate: { sequence: Array.from({ length: adapters }, (_, i) => i) }, seconds });
    await load({ url: plain.url, adapters: 1, rate: { clients: 2 }, seconds: 1 });
    const found: Record<'one' | 'all' | 'plain', number[]> = { one: [], all: [], plain: [] };
    for (let round = 0; round < rounds; round++) {
      const all = { clients: CLIENTS };
      found.one.push((await load({ url, adapters: 1, rate: all, seconds })).perSecond);
      found.all.push((await load({ url, adapters, rate: all, seconds })).perSecond);
      found.plain.push((await load({ url: plain.url, adapters: 1, rate: all, seconds })).perSecond);
    }
    const most = median(found.one);
    print(`${CLIENTS} clients, each with one request at a time, answers per second (median of ${rounds})`);
    print(`  one adapter ${most.toFixed(1)}, ${adapters} adapters ${median(found.all).toFixed(1)}, one merged model in a plain loop ${median(found.plain).toFixed(1)}`); // prettier-ignore
    print(`  ${adapters} adapters ÷ one: ${median(found.all.map((each, i) => each / found.one[i]!)).toFixed(2)}`);

    print('requests at random moments: answers per second, median and 99th percentile of their times in ms');
    for (const level of levels) {
      const rate = { perSecond: level * most };
      const cells = [
        await load({ url, adapters: 1, rate, seconds }),
        await load({ url, adapters, rate, seconds }),
        await load({ url: plain.url, adapters: 1, rate, seconds }),
      ].map(cell);
      print(
        `  ${rate.perSecond.toFixed(1)}/s: one adapter ${cells[0]!}; ${adapters} ${cells[1]!}; plain loop ${cells[2]!}`,
      );
    }

    // In turn, after one that finds no connection yet.
    const sequence = [0, ...Array.from({ length: 2 * cold }, (_, i) => (i % 2 === 0 ? 0 : adapters + (i - 1) / 2))];
    const { latencyMs } = await load({ url, adapters: 1, rate: { sequence }, seconds });
    const [warm, first] = [1, 0].map((odd) => median(latencyMs.filter((_, i) => i > 0 && i % 2 === odd))) as [number, number]; // prettier-ignore
    print(`one request of an idle server, median of ${cold}: ${warm.toFixed(1)} ms; with an adapter that was never asked for ${first.toFixed(1)} ms`); // prettier-ignore
  } finally {
    await rm(folder, { recursive: true });
  }
}

function cell({ latencyMs, perSecond, refused }: LoadFigures): string {
  const sorted = latencyMs.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN).toFixed(0); // prettier-ignore
  return `${perSecond.toFixed(1)}/s ${at(0.5)} ${at(0.99)}${refused > 0 ? ` (${refused} refused)` : ''}`;
}

/** Adapters that are all different; the first of them is returned. */
async function writeAdapters(model: Model, { r }: Sizes, folder: string, count: number): Promise<Adapter> {
  const drawn = await randomAdapter(model, { lora: { r, targetModules: ['query', 'value'] } });
  const random = new Random(1);
  const largest = Math.max(...[...drawn.tensors.values()].map(({ data }) => data.length));
  const pool = Float32Array.from({ length: 2 * largest }, () => random.uniform(-0.02, 0.02));
  const other = (): Adapter =>
    new Adapter(
      drawn.config,
      new Map(
        [...drawn.tensors].map(([name, { data, dims }]) => {
          const start = Math.floor(random.uniform(0, largest));
          return [name, float32(pool.slice(start, start + data.length), dims)];
        }),
      ),
      drawn.baseDigest,
    );
  const first = other();
  for (let i = 0; i < count; i++) await (i === 0 ? first : other()).save(path.join(folder, `a${i}`));
  return first;
}

/** A server that runs a model for each request, one after the other, as they come. */
async function plainLoop(folder: string, { image }: Sizes): Promise<AsyncDisposable & { readonly url: string }> {
  const model = await openModel(folder, { runtime: new OrtRuntime() });
  const session = await model.session();
  const bytes = 3 * image * image * 4;
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      // A copy of its own, so that the values are aligned.
      const pixels = Uint8Array.from(Buffer.concat(pieces).subarray(-bytes));
      const feeds = { pixel_values: float32(new Float32Array(pixels.buffer), [1, 3, image, image]) };
      session.run(feeds).then(
        ({ logits }) => response.end(JSON.stringify([...(logits!.data as Float32Array)])),
        () => response.writeHead(500).end(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    await session.release();
  };
  return { url, [Symbol.asyncDispose]: close };
}
