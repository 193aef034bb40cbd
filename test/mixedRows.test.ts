/**
 * @file No answer depends on strangers: for every tuner, rows of different tenants that a server computes at the same time, rows
 * of one run, and rows of one batch that is evaluated, are what each row gives by itself.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { methodsPlugin, tuners } from '@onnx-lora/methods';
import { type Adapter, evaluate, float32, merge, type Model, openModel, OrtRuntime } from '@onnx-lora/sdk';
import { Trainer, ParameterSet } from '@onnx-lora/sdk/core';
import { definePlugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { meanSquaredError } from '@onnx-lora/sdk/tasks';
import { checkTuner, linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { serve, type Server } from '@onnx-lora/serve';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { tunerSettings } from '../packages/methods/fixtures/tunerSettings.ts';
import { lily } from '../packages/methods/src/tuners/sharedProjections/lily.ts';
import { taskOf } from '../packages/sdk/fixtures/memorise.ts';

const INPUTS = 8;
/** Those that begin as nothing, or route between adapters, take adapters of other kinds to be something. */
const names = tuners.map(({ name }) => name).filter((name) => name !== 'arrow' && name !== 'xlora');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-rows-'));

let model: Model;
let server: Server;
const adapters: Record<string, Adapter> = {};

beforeAll(async () => {
  const published = await publishModel(path.join(scratch, 'net'), { model: linearNet({ inputs: INPUTS }) });
  const opened = await openModel(published, { plugins: [methodsPlugin], runtime: new OrtRuntime() });
  model = opened.withRowInputs([...new Set(tuners.flatMap(({ rowInputs = [] }) => rowInputs))]);
  for (const name of names) {
    const lora = { tuner: { name, ...tunerSettings[name]?.[0] }, targetModules: ['encoder.0', 'encoder.1'] };
    for (const seed of [1, 2]) {
      const adapter = await randomAdapter(model, { lora, seed });
      adapters[`${name}-${seed}`] = adapter;
      await adapter.save(path.join(scratch, 'runs', `${name}-${seed}`));
    }
  }
  server = await serve(model, {
    adapters: path.join(scratch, 'runs'),
    port: 0,
    maxSessions: 100,
    onLog: () => undefined,
  });
});
afterAll(async () => {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
});

const rowOf = (seed: number): number[] => Array.from({ length: INPUTS }, (_, i) => 2 * Math.sin(seed * 7 + i));

/** Feeds of these rows, with numbers for whatever else the model takes of a row. */
function feedsOf(rows: readonly (readonly number[])[]): Record<string, ReturnType<typeof float32>> {
  const others = Object.entries(model.inputs).filter(([name]) => name !== 'x');
  return {
    x: float32(rows.flat(), [rows.length, INPUTS]),
    ...Object.fromEntries(
      others.map(([name, { type }]) => [name, { type, dims: [rows.length], data: new BigInt64Array(rows.length) }]),
    ),
  };
}

/** The server's answers to rows. */
async function asked(adapter: string | null, rows: readonly (readonly number[])[]): Promise<number[]> {
  const inputs = Object.entries(feedsOf(rows)).map(([name, { type, dims, data }]) => ({
    name,
    datatype: type === 'int64' ? 'INT64' : 'FP32',
    shape: dims,
    data: Array.from(data as Float32Array, Number),
  }));
  const url = `${server.url}/v2/models/net${adapter === null ? '' : `:${adapter}`}/infer`;
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ inputs }) });
  const { outputs, ...error } = (await answer.json()) as { outputs?: { data: number[] }[] };
  if (!outputs) throw new Error(JSON.stringify(error));
  return outputs[0]!.data;
}

function expectClose(found: readonly number[], expected: readonly number[], what: string): void {
  expect(found, what).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value, what).toBeCloseTo(expected[i]!, 5));
}

it.each(names)('of %s get what each gets alone, in one run and from a server', async (name) => {
  const [one, two] = [`${name}-1`, `${name}-2`] as const;
  const rows = Array.from({ length: 6 }, (_, i) => rowOf(i));
  const choice = [one, two, null, one, one, two];
  await using session = await model.session({ adapters: { [one]: adapters[one]!, [two]: adapters[two]! }, threads: 1 });
  const alone: number[][] = [];
  for (const [i, row] of rows.entries()) {
    const { logits } = await session.run(feedsOf([row]), { adapter: choice[i]! });
    alone.push([...(logits!.data as Float32Array)]);
  }
  const { logits: mixed } = await session.run(feedsOf(rows), { adapter: choice });
  expectClose([...(mixed!.data as Float32Array)], alone.flat(), 'mixed');
  const { logits: same } = await session.run(feedsOf(rows), { adapter: one });
  for (const i of [0, 3, 4])
    expectClose([...(same!.data as Float32Array)].slice(3 * i, 3 * i + 3), alone[i]!, 'of one adapter');
  const served = await Promise.all(rows.map((row, i) => asked(choice[i]!, [row])));
  expectClose(served.flat(), alone.flat(), 'served');
  expectClose(await asked(one, [rows[0]!, rows[3]!]), [...alone[0]!, ...alone[3]!], 'served together');
});

describe('tuners whose change is a product', () => {
  it('share one run, and a layer, with LoRA and with each other', async () => {
    let runs = 0;
    class Counted extends OrtRuntime {
      override async createSession(...given: Parameters<OrtRuntime['createSession']>) {
        const session = await super.createSession(...given);
        const run = session.run.bind(session);
        return Object.assign(session, { run: ((...feeds) => (runs++, run(...feeds))) satisfies typeof run });
      }
    }
    const counted = await openModel(path.join(scratch, 'net'), { plugins: [methodsPlugin], runtime: new Counted() });
    const lora = await randomAdapter(counted, { lora: { r: 3, useDora: true, targetModules: ['encoder.0'] } });
    const products = ['sora', 'kasa', 'relora', 'bdlora', 'lora-xs'].map((name) => `${name}-1`);
    const named: Record<string, Adapter> = {
      lora,
      ...Object.fromEntries(products.map((name) => [name, adapters[name]!])),
    };
    const choice = [null, ...Object.keys(named)];
    const rows = choice.map((_, i) => rowOf(i));
    const alone: number[] = [];
    for (const [i, name] of choice.entries()) {
      const file = path.join(scratch, `${name}.onnx`);
      if (name !== null) await merge(counted, named[name]!, file, { overwrite: true });
      const own = name === null ? counted : await openModel(file, { runtime: new OrtRuntime() });
      await using session = await own.session();
      alone.push(...((await session.run({ x: float32(rows[i]!, [1, INPUTS]) }))['logits']!.data as Float32Array));
    }
    await using session = await counted.session({ adapters: named });
    runs = 0;
    const { logits } = await session.run({ x: float32(rows.flat(), [rows.length, INPUTS]) }, { adapter: choice });
    expect(runs).toBe(1);
    expectClose([...(logits!.data as Float32Array)], alone, 'mixed');
  });

  it('blend, whatever tensors they have', async () => {
    const [one, two] = [adapters['relora-1']!, adapters['kasa-1']!];
    const file = path.join(scratch, 'blend.onnx');
    await merge(model, [{ adapter: one, weight: 0.5 }, { adapter: two, weight: -0.25 }], file); // prettier-ignore
    await using merged = await (await openModel(file, { runtime: new OrtRuntime() })).session();
    await using session = await model.session({ adapters: { one, two } });
    const feeds = feedsOf([rowOf(1), rowOf(2)]);
    const { logits } = await session.run(feeds, { adapter: { one: 0.5, two: -0.25 } });
    const expected = (await merged.run(feeds))['logits']!;
    expectClose([...(logits!.data as Float32Array)], [...(expected.data as Float32Array)], 'blended');
  });
});

describe('a tuner that mixes rows', () => {
  const lora = { tuner: { name: 'lily' }, targetModules: ['encoder.0', 'encoder.1'] };
  const silent: Tuner = { ...lily, mixesRows: false };

  it('passes the check of the kit where it says so, and is found where it does not', async () => {
    expect(await checkTuner(lily)).toEqual([]);
    expect((await checkTuner(silent))[0]).toMatch(/^row 0 of a mixed batch: logits/);
  });

  it('computes a batch as PEFT does where that is asked for, and tells what mixes', async () => {
    await using session = await model.session({ adapters: { lily: adapters['lily-1']! }, threads: 1 });
    await using base = await model.session();
    expect([session.mixesRows, base.mixesRows]).toEqual([true, false]);
    const feeds = feedsOf([rowOf(0), rowOf(1)]);
    const [apart, together] = await Promise.all([false, true].map((rowsTogether) => session.run(feeds, { adapter: 'lily', rowsTogether }))); // prettier-ignore
    const off = (apart!['logits']!.data as Float32Array).map((value, i) => value - (together!['logits']!.data as Float32Array)[i]!); // prettier-ignore
    expect(Math.max(...off.map(Math.abs))).toBeGreaterThan(1e-3);
    expect(session.bind(feeds)).toBeUndefined();
  });

  it('sees no padding for the sake of other requests', async () => {
    const esm2 = path.join(import.meta.dirname, '../docs/examples/models/esm2-tiny');
    const opened = await openModel(esm2, { plugins: [methodsPlugin], runtime: new OrtRuntime() });
    const adapter = await randomAdapter(opened, { lora: { tuner: 'lily', targetModules: ['query'] } });
    const runs = path.join(scratch, 'sequences');
    await adapter.save(path.join(runs, 'lily'));
    const own = await serve(opened, { adapters: runs, port: 0 });
    onTestFinished(() => own.close());
    const ask = async (ids: readonly number[]): Promise<number[]> => {
      const of = (name: string, data: readonly number[]) => ({
        name,
        datatype: 'INT64',
        shape: [1, data.length],
        data,
      });
      const inputs = [of('input_ids', ids), of('attention_mask', ids.map(() => 1))]; // prettier-ignore
      const url = `${own.url}/v2/models/esm2-tiny:lily/infer`;
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ inputs }) });
      return ((await answer.json()) as { outputs: { data: number[] }[] }).outputs[0]!.data;
    };
    const sequences = [12, 11, 10, 12, 11].map((length, i) => Array.from({ length }, (_, j) => 4 + ((i + 3 * j) % 20)));
    const alone: number[][] = [];
    for (const ids of sequences) alone.push(await ask(ids));
    const together = await Promise.all(sequences.map(ask));
    together.forEach((found, i) => expectClose(found, alone[i]!, `sequence ${i}`));
  });

  it('is refused where a row cannot be run by itself', async () => {
    const { x, ...others } = feedsOf([rowOf(0), rowOf(1)]);
    await using session = await model.session({ adapters: { lily: adapters['lily-1']! } });
    const uneven = Object.fromEntries(Object.entries(others).map(([name, each]) => [name, { ...each, dims: [3], data: new BigInt64Array(3) }])); // prettier-ignore
    await expect(session.run({ x: x!, ...uneven }, { adapter: 'lily' })).rejects.toThrow(
      /^The adapter's tuner mixes the rows of a batch in "encoder.0" of "[^"]*", so that each row is run by itself, but "task_ids" has 3 rows in a batch of 2\. Run one row at a time, or compute the batch as one, as PEFT does \(rowsTogether: true\)\.$/,
    );
  });

  it('is evaluated row by row', async () => {
    const sizes: number[] = [];
    const target = float32([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [4, 3]);
    const task = taskOf(4, feedsOf([0, 1, 2, 3].map(rowOf)), { target }, (g, { logits }, { target: wanted }) =>
      meanSquaredError(g, logits!, wanted!),
    );
    const counted: typeof task = {
      ...task,
      prepare: async (given) => {
        const prepared = await task.prepare(given);
        const collate: typeof prepared.collate = (examples) => {
          sizes.push(examples.length);
          return prepared.collate(examples);
        };
        return { ...prepared, collate, metrics: () => ({ update: () => undefined, result: () => ({}) }) };
      },
    };
    await evaluate(model, { task: counted, adapter: adapters['lily-1']!, batchSize: 4 });
    await evaluate(model, { task: counted, adapter: adapters['vera-1']!, batchSize: 4 });
    expect(sizes).toEqual([1, 1, 1, 1, 4]);
  });

  it('learns from batches that are not cut in pieces', async () => {
    const gradientsBy = async (tuner: Tuner, more: object): Promise<Map<string, number[]>> => {
      const own = await openModel(path.join(scratch, 'net'), {
        plugins: [definePlugin({ name: 'own', tuners: [tuner] })],
        runtime: new OrtRuntime(),
      });
      const placed = await own.place(await randomAdapter(own, { lora }), { toTrain: true });
      const trainer = new Trainer({
        base: own.onnx.model,
        plan: placed.tunings.map(({ tuning }) => tuning),
        loss: (g, { logits }) => g.ReduceMean(g.Mul(logits!, logits!), [0, 1], false),
        runtime: new OrtRuntime(),
        session: { threads: 1 },
        parameters: (inputs) => ParameterSet.of(placed, inputs),
        name: 'net',
        ...more,
      });
      const { x } = feedsOf([0, 1, 2, 3].map(rowOf));
      const { gradients } = await trainer.lossAndGradients({ x: x! }, {});
      await trainer.release();
      return new Map([...gradients].map(([name, values]) => [name, [...values]]));
    };
    const cut = { lossWeight: () => 1, pieceRows: () => 1 };
    const whole = await gradientsBy(lily, {});
    const [kept, pieces] = [await gradientsBy(lily, cut), await gradientsBy(silent, cut)];
    for (const [name, values] of whole) expectClose(kept.get(name)!, values, name);
    const differs = [...whole].some(([name, values]) => values.some((value, i) => Math.abs(value - pieces.get(name)![i]!) > 1e-4)); // prettier-ignore
    expect(differs).toBe(true);
  });
});
