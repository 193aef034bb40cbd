/** @file Sends requests to a server, from a process of its own, and says how long the answers took. */

import http from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { Random } from '@onnx-lora/sdk/core';

/** What is sent, where to, and when. */
export interface LoadOrder {
  /** Where to, without the adapter. */
  readonly url: string;
  /** Shape of the input `pixel_values`. */
  readonly dims: readonly number[];
  /** The adapters `a0`, `a1` … that are asked for, the first most often, by Zipf's law. */
  readonly adapters: number;
  /**
   * Requests per second, at random moments, whether answers come or not; so many clients, each with one request at a time; or
   * these adapters, one after the other, for however long.
   */
  readonly rate:
    { readonly perSecond: number } | { readonly clients: number } | { readonly sequence: readonly number[] };
  readonly seconds: number;
  readonly seed: number;
}

/** What came of it. */
export interface LoadFigures {
  /** Milliseconds from when each request was due to its answer. */
  readonly latencyMs: readonly number[];
  /** Answers per second. */
  readonly perSecond: number;
  /** Requests that were told to come again later. */
  readonly refused: number;
}

/** Sends the load. */
export async function sendLoad({ url, dims, adapters, rate, seconds, seed }: LoadOrder): Promise<LoadFigures> {
  const random = new Random(seed);
  const agent = new http.Agent({ keepAlive: true });
  const pixels = Float32Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () =>
    random.uniform(-1, 1),
  );
  const shares = Array.from({ length: adapters }, (_, i) => 1 / (i + 1));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const adapter = (): string => {
    let left = random.uniform(0, whole);
    const place = shares.findIndex((share) => (left -= share) < 0);
    return `a${Math.max(0, place)}`;
  };
  const latencyMs: number[] = [];
  let refused = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const ask = async (due: number, lora = adapter()): Promise<void> => {
    const status = await post(agent, url, bodyOf(dims, pixels, lora));
    if (status === 200) latencyMs.push(performance.now() - due);
    else if (status === 429) refused++;
    else throw new Error(`The server answered with ${status}.`);
  };
  const all: Promise<void>[] = [];
  if ('sequence' in rate) for (const each of rate.sequence) await ask(performance.now(), `a${each}`);
  else if ('clients' in rate) {
    for (let i = 0; i < rate.clients; i++)
      all.push((async () => { while (performance.now() < end) await ask(performance.now()); })()); // prettier-ignore
  } else {
    for (let due = start; due < end; due -= (Math.log(1 - random.next()) / rate.perSecond) * 1000) {
      const wait = due - performance.now();
      if (wait > 0) await setTimeout(wait);
      all.push(ask(due));
    }
  }
  await Promise.all(all);
  const perSecond = (latencyMs.length / (performance.now() - start)) * 1000;
  agent.destroy();
  return { latencyMs, perSecond, refused };
}

/** A request of the Open Inference Protocol, its values in bytes behind the JSON. */
function bodyOf(dims: readonly number[], pixels: Float32Array, lora: string): { header: Buffer; values: Uint8Array } {
  const values = new Uint8Array(pixels.buffer);
  const input = {
    name: 'pixel_values',
    shape: dims,
    datatype: 'FP32',
    parameters: { binary_data_size: values.length },
  };
  return { header: Buffer.from(JSON.stringify({ parameters: { lora }, inputs: [input] })), values };
}

function post(agent: http.Agent, url: string, { header, values }: ReturnType<typeof bodyOf>): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': header.length + values.length,
      'inference-header-content-length': header.length,
    };
    const request = http.request(url, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    request.on('error', reject);
    request.write(header);
    request.end(values);
  });
}
