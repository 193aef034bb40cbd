/** @file A trained detector where it is used: merged in plain ONNX Runtime, served, killed and resumed, in integers. */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { evaluate, type Model, loadAdapter, merge, openModel, openPredictor, quantize, train } from '@onnx-lora/sdk';
import { serve } from '@onnx-lora/serve';
import { objectDetection, visionPlugin } from '@onnx-lora/vision';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sceneLayouts, writeDetr } from './fixtures/scenes.ts';
import { sources } from './support/sources.ts';

const root = path.join(import.meta.dirname, '..');
// Among the build's output, where a program finds onnxruntime-node and git finds nothing.
const dist = path.join(import.meta.dirname, 'dist');
let folder = '';
let model: Model;
const at = (...parts: string[]): string => path.join(folder, ...parts);
const scene = (i: number): string => at('scenes/test/images', `scene${i}.png`);

beforeAll(async () => {
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'detection-test-'));
  model = await openModel(writeDetr(at('detr')), { plugins: [visionPlugin] });
  await sceneLayouts['coco']!(at('scenes'));
  for (const seed of [1, 2]) {
    const run = await train(model, {
      task: objectDetection(at('scenes')),
      lora: { r: 4, targetModules: 'all-linear' },
      steps: 40,
      batchSize: 4,
      lr: 5e-3,
      seed,
    });
    await (await run.done).adapter.save(at('runs', `seed${seed}`));
  }
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Objects of one picture. */
async function objectsIn(of: Model, file: string, adapter?: string) {
  const own = adapter === undefined ? {} : { adapter: await loadAdapter(at('runs', adapter)) };
  await using predictor = await openPredictor(of, { task: 'object-detection', ...own, settings: { threshold: 0.05 } });
  for await (const { prediction } of predictor.predict(file)) return prediction.objects;
  throw new Error('no answer');
}

const close = (objects: Awaited<ReturnType<typeof objectsIn>>) =>
  objects.map(({ label, score, box }) => ({
    label,
    score: expect.closeTo(score, 3) as number,
    box: box.map((edge) => expect.closeTo(edge, 1) as number),
  }));

test('merged, plain ONNX Runtime gives what the adapter gives beside the base', async () => {
  const adapter = await loadAdapter(at('runs/seed1'));
  await merge(model, adapter, at('merged'));
  await using session = await model.session({ adapters: { adapter } });
  const pixels = Float32Array.from({ length: 2 * 3 * 64 * 64 }, (_, i) => Math.sin(i / 50));
  const feed = { type: 'float32', dims: [2, 3, 64, 64], data: pixels } as const;
  const mask = { type: 'int64', dims: [2, 64, 64], data: new BigInt64Array(2 * 64 * 64).fill(1n) } as const;
  const names = Object.keys(model.inputs);
  const feeds = Object.fromEntries(names.map((name) => [name, name === 'pixel_mask' ? mask : feed]));
  const own = await session.run(feeds, { adapter: 'adapter' });
  const base = await session.run(feeds, { adapter: null });
  const plain = await InferenceSession.create(at('merged/model.onnx'));
  const merged = await plain.run(Object.fromEntries(Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]))); // prettier-ignore
  await plain.release();
  for (const name of ['logits', 'pred_boxes']) {
    const [a, b, c] = [own[name]!.data, merged[name]!.data, base[name]!.data] as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
    const apart = (x: Float32Array, y: Float32Array): number =>
      Math.max(...x.map((value, i) => Math.abs(value - y[i]!)));
    expect(apart(a, b)).toBeLessThan(1e-3);
    expect(apart(a, c)).toBeGreaterThan(0.01);
  }
  const answered = await objectsIn(model, scene(8), 'seed1');
  expect(answered.length).toBeGreaterThan(0);
  expect(await objectsIn(await openModel(at('merged'), { plugins: [visionPlugin] }), scene(8))).toEqual(close(answered)); // prettier-ignore
});

test('the server answers with the adapter of each request, in boxes and in tensors', async () => {
  const server = await serve(model, { adapters: at('runs'), port: 0, onLog: () => undefined });
  try {
    for (const name of ['seed1', 'seed2']) {
      await using predictor = await openPredictor(model, {
        task: 'object-detection',
        adapter: await loadAdapter(at('runs', name)),
      });
      for await (const { source, prediction } of predictor.predict([scene(8), scene(9)])) {
        const answer = await fetch(`${server.url}/predict?adapter=${name}`, {
          method: 'POST',
          headers: { 'content-type': 'image/png' },
          body: new Uint8Array(readFileSync(scene(8 + source))),
        });
        const { task, predictions } = (await answer.json()) as { task: string; predictions: { objects: unknown }[] };
        expect([answer.status, task]).toEqual([200, 'object-detection']);
        expect(predictions[0]!.objects).toEqual(close(prediction.objects));
      }
      const data = Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i / 50));
      const inputs = Object.keys(model.inputs).map((input) =>
        input === 'pixel_mask'
          ? { name: input, shape: [1, 64, 64], datatype: 'INT64', data: new Array<number>(64 * 64).fill(1) }
          : { name: input, shape: [1, 3, 64, 64], datatype: 'FP32', data },
      );
      const asked = await fetch(`${server.url}/v2/models/detr/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ inputs, parameters: { lora: name } }),
      });
      const { outputs } = (await asked.json()) as { outputs: { name: string; data: number[] }[] };
      await using session = await model.session({ adapters: { [name]: await loadAdapter(at('runs', name)) } });
      const feeds = Object.fromEntries(inputs.map(({ name: input, shape, datatype, data: values }) =>
        [input, datatype === 'INT64' ? { type: 'int64' as const, dims: shape, data: BigInt64Array.from(values, BigInt) } : { type: 'float32' as const, dims: shape, data: Float32Array.from(values) }])); // prettier-ignore
      const own = await session.run(feeds, { adapter: name });
      for (const output of ['logits', 'pred_boxes'])
        outputs
          .find((each) => each.name === output)!
          .data.forEach((value, i) => expect(value).toBeCloseTo(Number(own[output]!.data[i]), 3));
    }
  } finally {
    await server.close();
  }
});

test('killed and resumed, a training ends with the same bytes', { timeout: 240_000 }, async () => {
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: sources },
    build: { ssr: path.join(root, 'test/fixtures/trainDetector.ts'), outDir: folder, emptyOutDir: false },
  });
  /** Runs the program to its end, or kills it after a step. */
  const once = (out: string, killAfter?: number) => {
    const child = spawn(process.execPath, [at('trainDetector.js'), at('detr'), at('scenes'), out]);
    let stderr = '';
    let first = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (first === '') first = line;
      if (line === `step ${killAfter}`) child.kill('SIGKILL');
    });
    return new Promise<{ signal: NodeJS.Signals | null; first: string; stderr: string }>((resolve) => {
      child.on('close', (_, signal) => resolve({ signal, first, stderr }));
    });
  };
  const bytes = (out: string): Buffer => readFileSync(path.join(out, 'final/adapter_model.safetensors'));
  expect(await once(at('whole'))).toEqual({ signal: null, first: 'begin 0', stderr: '' });
  expect((await once(at('killed'), 4)).signal).toBe('SIGKILL');
  expect(readdirSync(at('killed'))).not.toContain('final');
  const second = await once(at('killed'), 9);
  expect(second.signal).toBe('SIGKILL');
  expect(second.first).not.toBe('begin 0');
  const last = await once(at('killed'));
  expect(last).toMatchObject({ signal: null, stderr: '' });
  expect(bytes(at('killed')).equals(bytes(at('whole')))).toBe(true);
});

test('on a base in integers it finds and learns as on one in float32', { timeout: 120_000 }, async () => {
  const task = objectDetection(at('scenes'));
  await quantize(model, at('int8'), { bits: 8, smallest: 512 });
  const small = await openModel(at('int8'), { plugins: [visionPlugin] });
  const losses: number[][] = [];
  for (const each of [model, small]) {
    const lora = { r: 4, targetModules: 'all-linear' } as const;
    const run = await train(each, { task, lora, steps: 20, batchSize: 4, lr: 5e-3, seed: 1 });
    const own: number[] = [];
    for await (const event of run) if (event.type === 'step') own.push(event.loss);
    losses.push(own);
    await run.done;
  }
  const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
  const [float, int] = losses as [number[], number[]];
  expect(int[0]).not.toBe(float[0]);
  expect(Math.abs(int[0]! / float[0]! - 1)).toBeLessThan(0.05);
  expect(mean(int.slice(-5))).toBeLessThan(0.75 * mean(int.slice(0, 5)));
  const adapter = await loadAdapter(at('runs/seed1'));
  const [exact, rounded] = [await evaluate(model, { task, adapter }), await evaluate(small, { task, adapter })];
  expect(Math.abs(exact.metrics.map50 - rounded.metrics.map50)).toBeLessThan(0.1);
});

const oracle = path.join(root, '../shared/oracle/detection');
test.skipIf(!existsSync(oracle))(
  'in integers a real detector finds what it finds in float32',
  { timeout: 240_000 },
  async () => {
    const real = await openModel(path.join(oracle, 'models/digit-detector'), { plugins: [visionPlugin] });
    const task = objectDetection(path.join(oracle, 'digits/upright'));
    const { layers } = await quantize(real, at('int8-digits'), { bits: 8, smallest: 1024 });
    expect(layers.length).toBeGreaterThan(20);
    const { metrics } = await evaluate(await openModel(at('int8-digits'), { plugins: [visionPlugin] }), { task });
    // 0.5399 in float32.
    expect(Math.abs(metrics.map - 0.5399)).toBeLessThan(0.02);
  },
);
