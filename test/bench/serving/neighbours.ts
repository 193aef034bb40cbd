/** @file Effect of others on a tenant: one that sends a hundred times its share, and silent connections. */

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { serve } from '@onnx-lora/serve';
import { runChild } from '../spawn.ts';
import { quantile } from '../statistics.ts';
import type { LoadFigures, LoadOrder } from './load.ts';
import type { Subject } from './subjects.ts';

/** How much is measured. */
export interface NeighbourSettings {
  readonly subject: Subject;
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
}

const TENANTS = 5;
/** Each tenant's requests, as a part of the server's capacity. */
const SHARE = 0.12;
const FLOOD = 100;

/** Measures and prints the latencies of the other tenants. */
export async function measureNeighbours(
  self: string,
  { subject, seconds, rounds, connections }: NeighbourSettings,
  print: (line: string) => void,
): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-serving-'));
  try {
    const [first, ...others] = Array.from({ length: TENANTS }, (_, i) => `key-of-${i}`) as [string, ...string[]];
    const keys = [first, ...others].map((key) => {
      return { tenant: key, sha256: createHash('sha256').update(key).digest('hex') };
    });
    await using server = await serve(await subject.open(folder), { port: 0, name: 'served', keys });
    const url = `${server.url}/v2/models/served/infer`;
    const load = async (order: Omit<LoadOrder, 'url' | 'asked' | 'adapters' | 'seconds'>): Promise<LoadFigures> =>
      (await runChild(self, { load: { ...order, url, asked: subject.asked, adapters: 0, seconds } })) as LoadFigures;

    await load({ keys: others, rate: { sequence: Array<number>(10).fill(0) }, seed: 1 });
    const { perSecond: most } = await load({ keys: others, rate: { clients: 16 }, seed: 2 });
    const calm: number[] = [];
    const flooded: number[] = [];
    const crowded: number[] = [];
    let refused = 0;
    for (let seed = 10; seed < 10 * (rounds + 1); seed += 10) {
      // The same requests at the same moments each time; only the additional load differs.
      const four = async (): Promise<readonly number[]> => {
        const rate = { perSecond: (TENANTS - 1) * SHARE * most };
        return (await load({ keys: others, rate, seed })).latencyMs;
      };
      const fifth = (times: number): Promise<LoadFigures> =>
        load({ keys: [first], rate: { perSecond: times * SHARE * most }, seed: seed + 1, isFar: times > 1 });
      let beside = fifth(1);
      calm.push(...(await four()));
      await beside;
      const flood = fifth(FLOOD);
      flooded.push(...(await four()));
      refused += (await flood).refused;
      const idle = runChild(self, { idle: { url: server.url, connections, seconds } });
      beside = fifth(1);
      crowded.push(...(await four()));
      await Promise.all([idle, beside]);
    }
    print(`${subject.title}: ${TENANTS} tenants, each asking for ${SHARE} of ${most.toFixed(1)} answers per second; what ${TENANTS - 1} of them wait, median and 99th percentile in ms`); // prettier-ignore
    const told = (name: string, all: readonly number[]): void =>
      print(`  ${name}: ${[0.5, 0.99].map((part) => quantile(all, part).toFixed(0)).join(' ')}`);
    told('nothing besides', calm);
    told(`the fifth asks ${FLOOD} times as often (${refused} of its requests refused)`, flooded);
    told(`${connections} connections that say nothing`, crowded);
  } finally {
    await rm(folder, { recursive: true });
  }
}
