/** @file Sends requests to a server, from a process of its own, and says how long the answers took. */

import { once } from 'node:events';
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { Random } from '@onnx-lora/sdk/data';
import { type Asked, drawInputs, type Inputs } from './requests.ts';

/** Requests to send, with their address and rate. */
export interface LoadOrder {
  /** Address without the adapter. */
  readonly url: string;
  readonly asked: Asked;
  /** The adapters `a0`, `a1` … that are asked for, the first most often, by Zipf's law; the base for 0. */
  readonly adapters: number;
  /**
   * Requests per second, at random moments, whether answers come or not; so many clients, each with one request at a time; or
   * these adapters, one after the other, for however long.
   */
  readonly rate:
    { readonly perSecond: number } | { readonly clients: number } | { readonly sequence: readonly number[] };
  readonly seconds: number;
  readonly seed: number;
  /** Keys that requests are sent with, in turn; none by default. */
  readonly keys?: readonly string[];
  /** Whether the process that sends gives way to the server, as one on another machine does. */
  readonly isFar?: boolean;
}

/** Results of a load. */
export interface LoadFigures {
  /** Milliseconds from when each request was due to its answer. */
  readonly latencyMs: readonly number[];
  /** Answers per second. */
  readonly perSecond: number;
  /** Requests that were told to come again later. */
  readonly refused: number;
}

/** Requests that are drawn before the first is sent. */
const DRAWN = 16;

/** Sends the load. */
export async function sendLoad({
  url,
  asked,
  adapters,
  rate,
  seconds,
  seed,
  keys,
  isFar = false,
}: LoadOrder): Promise<LoadFigures> {
  if (isFar) setPriority(constants.priority.PRIORITY_LOW);
  const random = new Random(seed);
  const agent = new http.Agent({ keepAlive: true });
  const drawn = Array.from({ length: DRAWN }, () => drawInputs(asked, random));
  const shares = Array.from({ length: adapters }, (_, i) => 1 / (i + 1));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const adapter = (): number => {
    let left = random.uniform(0, whole);
    const place = shares.findIndex((share) => (left -= share) < 0);
    return Math.max(0, place);
  };
  const latencyMs: number[] = [];
  let refused = 0;
  let sent = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const ask = async (due: number, place = adapter()): Promise<void> => {
    const key = keys?.[sent++ % keys.length];
    const status = await post(agent, url, adapters === 0 ? undefined : `a${place}`, drawn[random.index(DRAWN)]!, key);
    if (status === 200) latencyMs.push(performance.now() - due);
    else if (status === 429) refused++;
    else throw new Error(`The server answered with ${status}.`);
  };
  const all: Promise<void>[] = [];
  if ('sequence' in rate) for (const each of rate.sequence) await ask(performance.now(), each);
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

function post(
  agent: http.Agent,
  url: string,
  lora: string | undefined,
  { declared, bytes }: Inputs,
  key: string | undefined,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const header = Buffer.from(JSON.stringify({ parameters: { lora }, inputs: declared }));
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': header.length + bytes.length,
      'inference-header-content-length': header.length,
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    };
    const request = http.request(url, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    request.on('error', reject);
    request.write(header);
    request.end(bytes);
  });
}

/** Connections that say nothing, from afar. */
export interface IdleOrder {
  readonly url: string;
  readonly connections: number;
  /** How long they stay open when all of them are. */
  readonly seconds: number;
}

/** Holds connections open, and says how many there were. */
export async function holdConnections({ url, connections, seconds }: IdleOrder): Promise<{ readonly held: number }> {
  setPriority(constants.priority.PRIORITY_LOW);
  const { hostname, port } = new URL(url);
  const all: Socket[] = [];
  for (let i = 0; i < connections; i++) {
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    all.push(socket);
  }
  await setTimeout(seconds * 1000);
  const held = all.filter(({ readyState }) => readyState === 'open').length;
  for (const socket of all) socket.destroy();
  return { held };
}
