/** @file The examples of what plugins bring: each checked by the kit, and all of them in one run of the command line. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32, loadAdapter, loadPlugins, type Model, openModel, train } from '@onnx-lora/sdk';
import type { PreparedTask } from '@onnx-lora/sdk/tasks';
import { binding, definePlugin, OptimizerMemory } from '@onnx-lora/sdk/plugin';
import { checkGradients, checkOptimizer, checkPlugin, ModelBuilder, publishModel } from '@onnx-lora/testing';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { call } from '../../../packages/cli/fixtures/call.ts';
import { publishModel as publishForecaster } from '../series/published.ts';
import { loudnessPlugin, SAMPLE_READER, samplesPlugin } from './token.ts';
import type { PluginRegistry } from '@onnx-lora/sdk';
import { REGISTRY } from '@onnx-lora/sdk/composition';
import { MENU, program } from './container.ts';
import { hourly } from './dataset.ts';
import { signum } from './optimizer.ts';
import { extrasPlugin } from './plugin.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-plugins-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('the plugin is sound', async () => {
  const matrices = { floats: [4, 1, 0, -1, 5, 1, 0.5, 0, 3], dims: [1, 3, 3] };
  const operators = { 'com.microsoft:Inverse': [{ inputs: [matrices], type: 'float32' }] } as const;
  const log = path.join(folder, 'sound.csv');
  writeFileSync(log, 'time,x\n2026-01-01T00:10Z,1\n2026-01-01T00:50Z,3\n');
  expect(await checkPlugin(extrasPlugin, { operators, datasets: { hourly: { source: log } } })).toEqual([]);
});

describe('Inverse', () => {
  /** `y` = head((3·I + encoder(x))⁻¹), `[batch, 9]` from `[batch, 4]`. */
  async function published(): Promise<string> {
    const builder = new ModelBuilder();
    const { g } = builder;
    const x = { name: 'x', type: 'float32', shape: ['batch', 4] } as const;
    const hidden = g.Gemm(x, builder.weight('encoder.weight', [9, 4], 0.5), undefined, { transB: true });
    const three = g.constant(float32([3, 0, 0, 0, 3, 0, 0, 0, 3], [1, 3, 3]));
    const matrices = g.Add(g.Reshape(hidden, [-1, 3, 3]), three);
    const inverted = g.emit('Inverse', [matrices], {}, 'com.microsoft');
    const flat = g.Reshape({ ...inverted, type: 'float32', shape: ['batch', 3, 3] }, [-1, 9]);
    g.Gemm(flat, builder.weight('head.weight', [9, 9], 0.5), undefined, { transB: true });
    builder.name('/head/Gemm', 'y');
    const model = builder.model([x], [{ name: 'y', type: 'float32', shape: ['batch', 9] }]);
    const opsetImport = [...model.opsetImport!, { domain: 'com.microsoft', version: 1 }];
    return publishModel(path.join(folder, 'inverse'), { model: { ...model, opsetImport } });
  }
  const lora = { r: 2, targetModules: ['encoder'] };
  const inputs = { x: float32([0.3, -0.2, 0.8, 0.1, -0.5, 0.9, 0.2, -0.7], [2, 4]) };
  const targets = {
    truth: float32(
      Array.from({ length: 18 }, (_, i) => Math.sin(i) / 4),
      [2, 9],
    ),
  };
  const loss: PreparedTask['loss'] = (g, { y }, { truth }) => {
    const difference = g.Sub(y!, truth!);
    return g.ReduceMean(g.Mul(difference, difference), [0, 1], false);
  };
  const task = {
    name: 'inverse',
    prepare: () =>
      Promise.resolve({
        train: { length: 2, get: (i: number) => Promise.resolve(i) },
        collate: () => Promise.resolve({ inputs, targets }),
        loss,
        metrics: () => ({ update: () => {}, result: () => ({}) }),
      }),
  };

  it('cannot be trained through without the plugin', async () => {
    const model = await openModel(await published());
    const run = async (): Promise<unknown> => (await train(model, { task, lora, steps: 1 })).done;
    await expect(run()).rejects.toThrow('No gradient rule for com.microsoft:Inverse');
  });

  it('has the gradient of finite differences with it, and learns', async () => {
    const model: Model = await openModel(await published(), { plugins: [extrasPlugin] });
    const found = await checkGradients(model, { lora, loss, inputs, targets });
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter(({ problem }) => problem)).toEqual([]);
    const losses: number[] = [];
    const run = await train(model, { task, lora, steps: 60, lr: 3e-2, batchSize: 2 });
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    await run.done;
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
  });
});

it('signum refuses a momentum that is none', () => {
  expect(() => signum.create({ momentum: 1 })).toThrow(
    'momentum of signum must be a number from 0 to below 1, but it is 1.',
  );
  expect(checkOptimizer(() => signum.create({ momentum: 0 }))).toEqual([]);
});

it('signum follows the mean of the gradients, not the last one', () => {
  const optimizer = new OptimizerMemory(signum.create({ momentum: 0.9 }));
  const value = Float32Array.of(0);
  for (const gradient of [1, -0.5])
    for (const _ of optimizer.update('w', value, Float32Array.of(gradient), { lr: 1, weightDecay: 0, dims: [1] }));
  // The mean is 0.1, then 0.9 · 0.1 − 0.1 · 0.5 = 0.04.
  expect(value[0]).toBe(-2);
  expect(optimizer.moments('w', 1)[0]![0]!).toBeCloseTo(0.04, 6);
});

it('hourly has a row per hour with the means of its readings', async () => {
  const log = path.join(folder, 'short.csv');
  writeFileSync(log, 'time,x,y\n2026-01-01T00:10Z,1,5\n2026-01-01T00:50Z,3,5\n2026-01-01T01:10Z,7,6\n');
  const file = await hourly.prepare({ source: log, folder });
  expect(readFileSync(file, 'utf8')).toBe('time,x,y\n2026-01-01T00:00Z,2,5\n2026-01-01T01:00Z,7,6\n');
});

it('what a token stands for comes from the plugin that provides it, or from the program', async () => {
  const file = path.join(folder, 'samples.txt');
  writeFileSync(file, '3\n4\n');
  const loudnessOf = async (loaded: PluginRegistry): Promise<number> =>
    Number((await loaded.preprocessors[0]!.create({}, '').preprocess(file)).data[0]);
  expect(await loudnessOf(loadPlugins([loudnessPlugin, samplesPlugin]))).toBeCloseTo(Math.sqrt(12.5), 5);
  const bindings = [binding(SAMPLE_READER, () => () => Promise.resolve(Float32Array.of(2, 2)))];
  const other = definePlugin({ name: 'other', bindings });
  expect(await loudnessOf(loadPlugins([loudnessPlugin, samplesPlugin, other]))).toBe(2);
  expect(await loudnessOf(loadPlugins([loudnessPlugin], { bindings }))).toBe(2);
  expect(() => loadPlugins([loudnessPlugin])).toThrow('The plugin "onnx-lora-loudness" needs "sample-reader", which no plugin provides. Load "onnx-lora-samples" too.'); // prettier-ignore
});

it('a program of services has what the plugins bring, and its own', async () => {
  await using scope = program();
  expect(await scope.get(MENU)).toEqual(['forecast']);
  expect((await scope.get(REGISTRY)).optimizers.map(({ name }) => name)).toEqual(['signum']);
});

it('all of them work in a run of the command line', async () => {
  vi.stubEnv('XDG_CACHE_HOME', path.join(folder, 'cache'));
  const [model, log, out] = ['forecaster', 'log.csv', 'run'].map((name) => path.join(folder, name)) as [string, string, string]; // prettier-ignore
  await publishForecaster(model);
  mkdirSync(path.join(folder, 'cache'));
  // Two readings an hour, as far above as below the hour's mean.
  const lines = Array.from({ length: 600 }, (_, i) => {
    const hour = Math.floor(i / 2);
    const temperature = 20 + 5 * Math.sin(hour) + (i % 2 === 0 ? 1 : -1);
    const time = new Date(Date.UTC(2026, 0, 1, hour, 30 * (i % 2))).toISOString();
    return `${time},${temperature},${2 + 0.1 * Math.cos(hour)}`;
  });
  writeFileSync(log, `time,temperature,pressure\n${lines.join('\n')}\n`);
  const plugins = ['../series/plugin.ts', './plugin.ts'].flatMap((file) => ['--plugin', path.join(import.meta.dirname, file)]); // prettier-ignore
  const { code, stderr } = await call(['train', model, ...plugins, '--task', 'forecast', '--data', `hourly:${log}`, '--init', 'signs', '--optimizer', 'signum', '--provider', 'one-core', '--track', 'jsonl', '--steps', '20', '--lr', '1e-3', '--out', out]); // prettier-ignore
  expect([code, stderr]).toEqual([0, expect.stringContaining('300 hours of 600 readings')]);
  const events = readFileSync(path.join(out, 'events.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
  expect(events[0]).toMatchObject({ type: 'begin', firstStep: 0, settings: { optimizer: 'signum' } });
  expect(events.filter(({ type }) => type === 'step')).toHaveLength(20);
  const report = readFileSync(path.join(out, 'report.html'), 'utf8');
  expect(report).toContain('Sizes of the adapter');
  // B began at zero and has made 20 steps of the falling rate, each of one length: of all first steps alike.
  const { tensors } = await loadAdapter(path.join(out, 'adapter'));
  const [, first] = [...tensors].find(([name]) => name.endsWith('encoder.0.lora_B.weight'))!;
  expect(first.dims).toEqual([32, 8]);
  const longest = Math.max(...Array.from(first.data as Float32Array, Math.abs));
  expect(longest).toBeGreaterThan(1e-3);
  expect(longest).toBeLessThanOrEqual(20e-3);
});
