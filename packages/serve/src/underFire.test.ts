/**
 * @file Many requests at a time, while adapters are uploaded, replaced, activated, split, pinned, deleted and evicted, and clients
 * go: every answer is that of the merged model of the adapter that the request was resolved to, and none is lost.
 * `ONNX_LORA_FIRE` says how many requests, `ONNX_LORA_FIRE_DISK` names a folder on a small disk, which is filled now and then.
 */

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Feeds, float32, merge, type Model, openModel, type OnnxLoraError, OrtRuntime } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AdapterCatalog } from './adapters/catalog.ts';
import { AdapterStore } from './adapters/store.ts';
import type { Upload } from './adapters/upload.ts';
import { compute, type Outputs, type Work } from './inference/compute.ts';
import { runAs } from './inference/request.ts';
import { Sessions } from './inference/sessions.ts';
import { Variants } from './inference/variants.ts';
import { createScheduler } from './scheduler/scheduler.ts';
import { isNightly } from '../../../test/support/nightly.ts';

const REQUESTS = Number(process.env['ONNX_LORA_FIRE'] ?? (isNightly ? 100_000 : 2000));
const CLIENTS = 48;
const ADAPTERS = 12;
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];

const disk = process.env['ONNX_LORA_FIRE_DISK'];

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-fire-'));
const storeFolder = mkdtempSync(path.join(disk ?? scratch, 'store-'));
afterAll(() => {
  for (const folder of [scratch, storeFolder]) rmSync(folder, { recursive: true, force: true });
});

let model: Model;
/** Requests of the clients. */
const questions: Feeds[] = [];
/** By the digest of an adapter, what its merged model answers to each question; by '' the base. */
const expected = new Map<string, Float32Array[]>();
const files: { config: Buffer; weights: Buffer }[] = [];

beforeAll(async () => {
  const random = new Random(1);
  model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }));
  for (let i = 0; i < 16; i++) {
    const rows = 1 + (i % 3);
    questions.push({
      x: float32(
        Float32Array.from({ length: 8 * rows }, () => random.uniform(-1, 1)),
        [rows, 8],
      ),
    });
  }
  expected.set('', await answersOf(path.join(scratch, 'net')));
  const store = await AdapterStore.open(path.join(scratch, 'all'));
  for (let seed = 0; seed < ADAPTERS; seed++) {
    const folder = path.join(scratch, `adapter-${seed}`);
    const head = seed % 3 === 0 ? { modulesToSave: ['head'] } : {};
    const lora = { r: 1 + (seed % 4), targetModules: ['encoder.0', 'encoder.1'], ...head };
    const adapter = await randomAdapter(model, { lora, seed });
    await adapter.save(folder);
    await merge(model, adapter, path.join(scratch, `merged-${seed}`));
    files.push({ config: readFileSync(path.join(folder, 'adapter_config.json')), weights: readFileSync(path.join(folder, 'adapter_model.safetensors')) }); // prettier-ignore
    const { digest } = await store.upload(upload('any', seed));
    expected.set(digest, await answersOf(path.join(scratch, `merged-${seed}`)));
  }
  await store.close();
});

async function answersOf(folder: string): Promise<Float32Array[]> {
  const merged = await openModel(folder, { runtime: new OrtRuntime() });
  await using session = await merged.session();
  const answers: Float32Array[] = [];
  for (const question of questions) answers.push((await session.run(question))['logits']!.data as Float32Array);
  return answers;
}

function upload(name: string, seed: number): Upload {
  const { config, weights } = files[seed]!;
  const content = async function* (bytes: Buffer): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  return { name, files: [{ name: 'adapter_config.json', content: content(config) }, { name: 'adapter_model.safetensors', content: content(weights) }] }; // prettier-ignore
}

test('every answer is that of the merged model, whatever happens meanwhile', { timeout: 3_600_000 }, async () => {
  const random = new Random(2);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random.uniform(0, all.length))]!;
  const bytes = files.reduce((sum, { config, weights }) => sum + config.length + weights.length, 0);
  // Uploads meet a full store now and then.
  const store = await AdapterStore.open(storeFolder, { maxBytes: 2 * bytes, grace: 20_000 });
  for (const [i, name] of NAMES.entries()) await store.upload(upload(name, i));
  // Room for some of the adapters, so that others give way.
  let loaded = 0;
  const catalog: AdapterCatalog = {
    resolve: (...asked) => store.resolve(...asked),
    list: () => store.list(),
    load(key) {
      loaded++;
      return store.load(key);
    },
  };
  const sessions = new Sessions(catalog, { maxAdapterBytes: 800 }, () => new OrtRuntime());
  let largest = 0;
  let mixed = 0;
  const scheduler = createScheduler<Work, Outputs>(compute, {
    maxRows: 8,
    maxWaitingRows: 4 * CLIENTS,
    observer: {
      batch({ jobs, adapters }) {
        largest = Math.max(largest, jobs);
        if (adapters > 1) mixed++;
      },
    },
  });
  const variants = new Variants({ base: model, catalog, sessions, scheduler });

  const failures: unknown[] = [];
  const outcomes: Record<string, number> = {};
  const count = (what: string): void => void (outcomes[what] = (outcomes[what] ?? 0) + 1);
  let asked = 0;
  let worst = 0;

  const request = async (): Promise<void> => {
    const number = Math.floor(random.uniform(0, questions.length));
    const name = random.uniform(0, 1) < 0.1 ? null : pick(NAMES);
    const client = new AbortController();
    const isImpatient = random.uniform(0, 1) < 0.1;
    const isLate = random.uniform(0, 1) < 0.05;
    let isResolved = false;
    try {
      const resolved = name === null ? null : await store.resolve(name);
      isResolved = true;
      const session = await (await variants.get(resolved)).session();
      const owner = {
        tenant: pick(['x', 'y', 'z']),
        priority: pick([0, 5, 9]),
        signal: client.signal,
        ...(isLate && { deadline: performance.now() + random.uniform(0, 4) }),
      };
      if (isImpatient) void setTimeout(random.uniform(0, 4)).then(() => client.abort());
      const outputs = await runAs(owner, () => session.run(questions[number]!, { adapter: resolved?.key ?? null }));
      const want = expected.get(resolved?.digest ?? '')![number]!;
      const got = outputs['logits']!.data as Float32Array;
      expect(got).toHaveLength(want.length);
      want.forEach((value, i) => (worst = Math.max(worst, Math.abs(got[i]! - value))));
      count('answered');
    } catch (error) {
      const { code } = error as OnnxLoraError;
      const isTold =
        (code === 'CANCELLED' && (isImpatient || isLate)) ||
        code === 'OVERLOADED' ||
        (code === 'FILE_NOT_FOUND' && !isResolved);
      if (isTold) count(code);
      else failures.push(error);
    }
  };
  let memoryBefore = Infinity;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (asked++ < REQUESTS) {
      await request();
      if (asked === Math.floor(REQUESTS / 4)) memoryBefore = process.memoryUsage().rss;
    }
  });

  let isOver = false;
  const change = async (): Promise<void> => {
    const name = pick(NAMES);
    const versions = (await store.list()).filter((each) => each.name === name);
    const some = versions.length > 0 ? pick(versions).version : 'none';
    const changes: (() => Promise<unknown>)[] = [
      ...Array.from({ length: 5 }, () => () => store.upload(upload(name, Math.floor(random.uniform(0, ADAPTERS))))),
      () => store.delete(name),
      () => store.delete(name, some),
      () => store.activate(name, some),
      () => store.split(name, [{ weight: 1 }, { version: some, weight: 1 }]),
      () => store.split(name, null),
      () => store.pin(name, some, true),
      () => store.pin(name, some, false),
      () => store.reload(),
    ];
    try {
      await pick(changes)();
      count('changed');
    } catch (error) {
      const { code } = error as OnnxLoraError;
      if (['FILE_NOT_FOUND', 'INPUT_INVALID', 'FILE_INVALID'].includes(code)) count(`refused ${code}`);
      else failures.push(error);
    }
  };
  const changing = Array.from({ length: 3 }, async () => {
    while (!isOver) await change();
  });

  const filling = disk !== undefined && fillNowAndThen(path.join(disk, 'ballast'), () => isOver, count);

  await Promise.all(clients);
  isOver = true;
  await filling;
  await Promise.all(changing);
  await scheduler.drain();
  await sessions.release();
  const { answered = 0, CANCELLED = 0, OVERLOADED = 0, FILE_NOT_FOUND = 0 } = outcomes;
  expect(failures).toEqual([]);
  expect(answered + CANCELLED + OVERLOADED + FILE_NOT_FOUND).toBe(REQUESTS);
  expect(answered).toBeGreaterThan(REQUESTS / 2);
  expect(worst).toBeLessThan(1e-5);
  // Most of that many arrive when everything is loaded.
  if (REQUESTS >= 100_000) expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(100 * 2 ** 20);
  // It was a fire.
  expect(mixed).toBeGreaterThan(REQUESTS / 100);
  expect(largest).toBeGreaterThan(2);
  expect(loaded).toBeGreaterThan(10 * ADAPTERS);
  expect(CANCELLED).toBeGreaterThan(0);
  if (disk !== undefined) expect(outcomes['disk full']).toBeGreaterThan(10);
  // Whoever opens the store next finds all of it in order.
  await store.close();
  const listed = await store.list();
  await using reopened = await AdapterStore.open(storeFolder);
  expect(await reopened.list()).toEqual(listed);
  for (const { key } of listed) await reopened.load(key);
});

/** Leaves nothing of a disk for a moment, again and again. */
async function fillNowAndThen(file: string, isOver: () => boolean, count: (what: string) => void): Promise<void> {
  while (!isOver()) {
    for (const piece of [2 ** 20, 4096]) {
      try {
        for (;;) appendFileSync(file, Buffer.alloc(piece));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
    count('disk full');
    await setTimeout(50);
    rmSync(file);
    await setTimeout(200);
  }
}
