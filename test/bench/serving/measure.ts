/**
 * @file Measures a server under load: a thousand adapters requested by Zipf's law, against one adapter, a merged model in a plain
 * loop that computes one request after the other, and FastAPI with PEFT.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { merge, type PrecisionName } from '@onnx-lora/sdk';
import { serve } from '@onnx-lora/serve';
import { providerOf, type Sizes } from '../settings.ts';
import { runChild } from '../spawn.ts';
import { median, quantile } from '../statistics.ts';
import type { LoadFigures, LoadOrder } from './load.ts';
import { fastApi, type OtherServer, plainLoop } from './others.ts';
import { type Loaded, writePicture } from './picture.ts';
import { measureNeighbours, type NeighbourSettings } from './neighbours.ts';
import { images, type Subject, texts, writeAdapters } from './subjects.ts';

/** How much is measured. */
export interface ServingSettings {
  readonly subjects: readonly Subject[];
  readonly adapters: number;
  /** Further precisions of the server's base. */
  readonly precisions?: readonly PrecisionName[];
  /** Clients that send as much as they can, each with one request at a time. */
  readonly clients: number;
  /** Seconds of each load. */
  readonly seconds: number;
  /** How often that is measured of each server, in turn. */
  readonly rounds: number;
  /** Rates, as parts of the server's capacity with one adapter. */
  readonly levels: readonly number[];
  /** Adapters that are asked for the first time. */
  readonly cold: number;
  /** Effect of other tenants on one; measured only if given. */
  readonly neighbours?: NeighbourSettings;
}

/** ViT-S/16 and a BERT of the sizes of MiniLM-L3, with a thousand adapters for queries and values. */
export const servingSettings = (vit: Sizes): ServingSettings => {
  const bert = { hidden: 384, layers: 3, heads: 12, r: vit.r };
  return {
    subjects: [images(vit), texts(bert)],
    adapters: 1000,
    clients: 32,
    seconds: 10,
    rounds: 3,
    levels: [0.1, 0.3, 0.5, 0.7, 0.9],
    cold: 30,
    neighbours: { subject: texts(bert, [384, 512]), seconds: 20, rounds: 8, connections: 10_000 },
  };
};
/** To try the benchmark itself. */
export const quickServing = (sizes: Sizes): ServingSettings => {
  const quick = { adapters: 20, clients: 4, seconds: 0.5, rounds: 1, levels: [0.5], cold: 3 };
  const neighbours = { subject: texts(sizes), seconds: 0.5, rounds: 1, connections: 20 };
  return { subjects: [texts(sizes)], ...quick, neighbours };
};

/** Adapters of the server with PEFT, which takes minutes to add a thousand: time grows with their square. */
const MOST_WITH_PEFT = 50;

/** Programs and places of a measurement. */
export interface ServingPlaces {
  /** The benchmark's own program, for the load. */
  readonly self: string;
  /** A Python with FastAPI and PEFT, and the server for it. */
  readonly python?: string | undefined;
  readonly script: string;
  /** Where pictures are written. */
  readonly pictures?: string | undefined;
}

/** Measures, and prints tables of the results. */
export async function measureServing(
  places: ServingPlaces,
  { subjects, neighbours, ...settings }: ServingSettings,
  print: (line: string) => void,
): Promise<void> {
  for (const subject of subjects) {
    print(subject.title);
    const loaded = await measureSubject(places, subject, settings, print);
    if (places.pictures !== undefined) await writePicture(places.pictures, subject, loaded);
  }
  if (neighbours) await measureNeighbours(places.self, neighbours, print);
}

async function measureSubject(
  { self, python, script }: ServingPlaces,
  subject: Subject,
  {
    adapters,
    precisions = [],
    clients,
    seconds,
    rounds,
    levels,
    cold,
  }: Omit<ServingSettings, 'subjects' | 'neighbours'>,
  print: (line: string) => void,
): Promise<Loaded[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-serving-'));
  const others: OtherServer[] = [];
  try {
    const model = await subject.open(folder);
    const runs = path.join(folder, 'runs');
    const one = await writeAdapters(model, subject.r, runs, adapters + cold);
    await using server = await serve(model, { adapters: runs, port: 0, name: 'served' });
    await merge(model, one, path.join(folder, 'merged'));
    let seed = 1;
    const load = async (order: Omit<LoadOrder, 'asked' | 'seed' | 'seconds'>): Promise<LoadFigures> =>
      (await runChild(self, { load: { ...order, asked: subject.asked, seconds, seed: seed++ } })) as LoadFigures;

    const url = `${server.url}/v2/models/served/infer`;
    const sides = [
      { name: 'one adapter', url, adapters: 1 },
      { name: `${adapters} adapters`, url, adapters },
    ];
    others.push(await plainLoop(path.join(folder, 'merged')));
    sides.push({ name: 'merged model in a plain loop', url: others[0]!.url, adapters: 1 });
    if (python !== undefined) {
      const few = Math.min(adapters, MOST_WITH_PEFT);
      others.push(await fastApi(python, script, subject, few));
      sides.push({ name: `FastAPI with PEFT, ${few} adapters`, url: others[1]!.url, adapters: few });
    }

    for (const precision of precisions) {
      const own = await subject.open(folder, precision);
      const provider = providerOf(precision);
      const beside = await serve(own, { adapters: runs, port: 0, name: 'served', provider });
      others.push(beside);
      const url = `${beside.url}/v2/models/served/infer`;
      for (const count of [1, adapters])
        sides.push({ name: `${count} adapter${count === 1 ? '' : 's'} in ${precision} on ${provider}`, url, adapters: count }); // prettier-ignore
      await load({ url, adapters, rate: { sequence: Array.from({ length: adapters }, (_, i) => i) } });
    }

    // All have been asked for once: what that costs is measured by itself.
    await load({ url, adapters, rate: { sequence: Array.from({ length: adapters }, (_, i) => i) } });
    for (const side of sides) await load({ ...side, rate: { sequence: Array<number>(10).fill(0) } });
    const found = sides.map((): number[] => []);
    const alone: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const [i, side] of sides.entries()) found[i]!.push((await load({ ...side, rate: { clients } })).perSecond);
      alone.push((await load({ ...sides[1]!, rate: { clients: 1 } })).perSecond);
    }
    const most = found.map(median);
    print(`  answers per second of ${clients} clients, each with one request at a time (median of ${rounds})`);
    for (const [i, { name }] of sides.entries()) print(`    ${name}: ${most[i]!.toFixed(1)}`);
    print(`    one client alone, ${adapters} adapters: ${median(alone).toFixed(1)}`);
    const ratio = (a: readonly number[], b: readonly number[]): string => median(a.map((each, i) => each / b[i]!)).toFixed(2); // prettier-ignore
    print(`    ${adapters} adapters ÷ one ${ratio(found[1]!, found[0]!)}, ÷ one client ${ratio(found[1]!, alone)}, ÷ plain loop ${ratio(found[1]!, found[2]!)}${python === undefined ? '' : `, ÷ FastAPI ${ratio(found[1]!, found[3]!)}`}`); // prettier-ignore
    const least = sides.length - 2 * precisions.length;
    for (const [i, { name }] of sides.entries())
      if (i >= least) print(`    ${name} ÷ that in float32 ${ratio(found[i]!, found[(i - least) % 2]!)}`);

    print('  requests at random moments: median and 99th percentile of their times in ms');
    const loaded = sides.map(({ name }) => ({ name, points: [] as Loaded['points'][number][] }));
    for (const level of levels) {
      const perSecond = level * most[0]!;
      const cells: string[] = [];
      for (const [i, side] of sides.entries()) {
        // A server that cannot keep up has no latencies: they grow with the duration.
        if (perSecond > 0.97 * most[i]!) continue;
        const { latencyMs, refused } = await load({ ...side, rate: { perSecond } });
        const [p50, p99] = [quantile(latencyMs, 0.5), quantile(latencyMs, 0.99)];
        loaded[i]!.points.push({ perSecond, p50, p99 });
        cells.push(`${side.name} ${p50.toFixed(1)} ${p99.toFixed(1)}${refused > 0 ? ` (${refused} refused)` : ''}`);
      }
      print(`    ${perSecond.toFixed(1)}/s: ${cells.join('; ')}`);
    }

    // In turn, after one that finds no connection yet.
    const sequence = [0, ...Array.from({ length: 2 * cold }, (_, i) => (i % 2 === 0 ? 0 : adapters + (i - 1) / 2))];
    const { latencyMs } = await load({ url, adapters: 1, rate: { sequence } });
    const [warm, first] = [1, 0].map((odd) => median(latencyMs.filter((_, i) => i > 0 && i % 2 === odd))) as [number, number]; // prettier-ignore
    print(`  one request of an idle server, median of ${cold}: ${warm.toFixed(1)} ms; with an adapter that was never asked for ${first.toFixed(1)} ms`); // prettier-ignore
    return loaded;
  } finally {
    for (const other of others) await other[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  }
}
