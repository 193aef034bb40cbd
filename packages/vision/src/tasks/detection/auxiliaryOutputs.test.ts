/** @file Exports with the outputs of auxiliary losses: which file is trained, which answers, and how new classes are taught. */

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attachHead, evaluate, loadAdapter, merge, type Model, openModel, train } from '@onnx-lora/sdk';
import { randomAdapter } from '@onnx-lora/testing';
import { openOnnx, writeOnnx } from '@onnx-lora/sdk/plugin';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sceneLayouts } from '../../../../../test/fixtures/scenes.ts';
import { visionPlugin } from '../../plugin.ts';
import { objectDetection } from './objectDetection.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-auxiliary-'));
afterAll(() => rmSync(root, { recursive: true }));
const fixture = path.join(import.meta.dirname, '../../../../../test/fixtures/detection/dfine-aux-v5');
const folder = path.join(root, 'd-fine');
const data = path.join(root, 'scenes');
const lora = { r: 2, targetModules: 'all-linear' } as const;

/** The plain export beside that with auxiliary outputs, as a published folder. */
beforeAll(async () => {
  mkdirSync(path.join(folder, 'onnx'), { recursive: true });
  const auxiliary = path.join(folder, 'onnx/model_aux.onnx');
  cpSync(path.join(fixture, 'model.onnx'), auxiliary);
  const { model } = openOnnx(auxiliary);
  const output = model.graph.output!.filter(({ name }) => name === 'logits' || name === 'pred_boxes');
  writeOnnx(path.join(folder, 'onnx/model.onnx'), { ...model, graph: { ...model.graph, output } });
  const { config } = JSON.parse(readFileSync(path.join(fixture, 'case.json'), 'utf8')) as { config: object };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  const size = { height: 64, width: 64 };
  writeFileSync(path.join(folder, 'preprocessor_config.json'), JSON.stringify({ image_processor_type: 'RTDetrImageProcessor', size, do_normalize: false })); // prettier-ignore
  await sceneLayouts['coco']!(data);
});

const open = (file: string): Promise<Model> => openModel(file, { plugins: [visionPlugin] });

test('a folder is the export with auxiliary outputs, and its adapter fits and merges into both files', async () => {
  const model = await open(folder);
  expect(Object.keys(model.outputs)).toContain('enc_logits');
  expect(model.parts.map(({ name }) => name)).toEqual(['model_aux', 'model']);
  const plain = await open(path.join(folder, 'onnx/model.onnx'));
  expect(Object.keys(plain.outputs)).toEqual(['logits', 'pred_boxes']);
  expect(await plain.digest()).toBe(await model.digest());
  expect(plain.modules().map((each) => each.path)).toEqual(model.modules().map((each) => each.path));

  await (await randomAdapter(model, { lora, seed: 1 })).save(path.join(root, 'adapter'));
  const adapter = await loadAdapter(path.join(root, 'adapter'));
  await merge(model, adapter, path.join(root, 'merged'));
  const feeds = { pixel_values: { type: 'float32', dims: [1, 3, 64, 64], data: Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i / 30)) } } as const; // prettier-ignore
  const boxes: Float32Array[] = [];
  for (const each of [model, plain]) {
    await using session = await each.session({ adapters: { adapter } });
    boxes.push((await session.run(feeds, { adapter: 'adapter' }))['pred_boxes']!.data as Float32Array);
  }
  for (const file of ['model_aux', 'model']) {
    await using session = await (await open(path.join(root, 'merged/onnx', `${file}.onnx`))).session();
    boxes.push((await session.run(feeds))['pred_boxes']!.data as Float32Array);
  }
  await using session = await model.session();
  const base = (await session.run(feeds))['pred_boxes']!.data as Float32Array;
  const apart = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  for (const each of boxes) expect(apart(each, boxes[0]!)).toBeLessThan(1e-4);
  expect(apart(base, boxes[0]!)).toBeGreaterThan(1e-3);
});

test('new classes get heads in all decoder layers, learn, and are merged into both files', async () => {
  const model = await open(folder);
  const labels = ['disc', 'square', 'tile', 'star'];
  const task = objectDetection(data, { labels });
  const { head } = await task.prepare(model);
  expect(head).toEqual({ output: 'logits', alsoOutput: 'intermediate_logits', labels });
  const { model: headed, modules } = attachHead(model, head!, { seed: 0 });
  expect(modules).toEqual([0, 1, 2].map((i) => `model.decoder.class_embed.${i}`));
  expect(headed.outputs['intermediate_logits']!.dims!.at(-1)).toBe(4);
  // The encoder still chooses the queries by its own classes.
  await using session = await headed.session();
  const feeds = { pixel_values: { type: 'float32', dims: [1, 3, 64, 64], data: new Float32Array(3 * 64 * 64).fill(0.5) } } as const; // prettier-ignore
  const outputs = await session.run(feeds);
  expect(outputs['logits']!.dims.at(-1)).toBe(4);
  expect(outputs['enc_logits']!.dims.at(-1)).toBe(3);

  const { adapter } = await (await train(model, { task, lora, steps: 6, batchSize: 4, lr: 1e-2, seed: 0 })).done;
  expect(adapter.config.modulesToSave).toEqual(modules);
  // transformers pairs D-FINE's scores with distributions such that the last but one layer's are not taught.
  const isTaught = [true, false, true];
  modules.forEach((module, i) => {
    const bias = adapter.tensors.get(`base_model.model.${module}.bias`)!.data as Float32Array;
    expect(bias).toHaveLength(4);
    // It begins at 0.
    if (isTaught[i]) expect(Math.min(...bias.map(Math.abs))).toBeGreaterThan(1e-3);
    else expect([...bias]).toEqual([0, 0, 0, 0]);
  });
  const { metrics } = await evaluate(model, { task, adapter });
  await merge(model, adapter, path.join(root, 'new-classes'));
  for (const file of ['', 'onnx/model.onnx', 'onnx/model_aux.onnx']) {
    const merged = await open(path.join(root, 'new-classes', file));
    expect((await evaluate(merged, { task })).metrics.map).toBeCloseTo(metrics.map, 5);
    expect(Object.values(merged.config!['id2label'] as object)).toEqual(labels);
  }
});

const oracle = path.join(import.meta.dirname, '../../../../../../shared/oracle/detection/models/digit-detector');
test.skipIf(!existsSync(oracle))('the two exports of a real detector are one model for adapters', async () => {
  const [model, plain] = [await open(oracle), await open(path.join(oracle, 'onnx/model.onnx'))];
  expect(Object.keys(model.outputs)).toEqual(['logits', 'pred_boxes', 'aux_logits', 'aux_boxes', 'enc_logits', 'enc_boxes']); // prettier-ignore
  expect(await plain.digest()).toBe(await model.digest());
  expect(plain.modules().map((each) => each.path)).toEqual(model.modules().map((each) => each.path));
});
