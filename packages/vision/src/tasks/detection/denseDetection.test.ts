/** @file Dense heads as a task: raw outputs, graphs that go on to boxes or to suppression, and heads that are not known. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, float32, int64, merge, type Model, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { type ModelProto, openOnnx } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import { ModelBuilder, publishModel } from '@onnx-lora/testing';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { visionPlugin } from '../../plugin.ts';
import { detectorOf } from './detector.ts';
import { objectDetection } from './objectDetection.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-dense-'));
afterAll(() => rmSync(root, { recursive: true }));

const side = 64;
const bins = 16;
const classes = 3;
type Kind = 'distances' | 'qualities' | 'offsets' | 'heat' | 'unknown';
/** `open`: as decoded, with images of any size. */
type End = 'raw' | 'decoded' | 'suppressed' | 'open';

/** A small net whose head has two levels, with strides 8 and 16. */
function net(kind: Kind, end: End): ModelProto {
  const builder = new ModelBuilder({ opset: 17, seed: 4 });
  const { g } = builder;
  const images: Value = {
    name: 'images',
    type: 'float32',
    shape: end === 'open' ? ['batch', 3, 'height', 'width'] : ['batch', 3, side, side],
  };
  const convolution = (name: string, x: Value, out: number, kernel: number, stride: number): Value => {
    // As in a trained head: distances of 1 or 2 places, and few objects.
    const usual = (at: number): number => (name.startsWith('head.0') ? -Math.abs((at % bins) - 1.5) : -4);
    const isHead = kind === 'distances' && name.startsWith('head');
    const weights = [
      builder.weight(`${name}.weight`, [out, Number(x.shape![1]), kernel, kernel], 0.2),
      isHead
        ? g.constant(
            float32(
              Array.from({ length: out }, (_, at) => usual(at)),
              [out],
            ),
          )
        : builder.weight(`${name}.bias`, [out], 0.1),
    ];
    const half = Math.floor(kernel / 2);
    const y = g.emit('Conv', [x, ...weights], { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [half, half, half, half] }); // prettier-ignore
    builder.name(`/${name}/Conv`);
    return y;
  };
  const stem = g.Relu(convolution('stem', images, 12, 5, 4));
  const fine = g.Relu(convolution('fine', stem, 16, 3, 2));
  const coarse = g.Relu(convolution('coarse', fine, 16, 3, 2));
  const parts = {
    distances: [4 * bins, classes],
    offsets: [4, 1, classes],
    qualities: [classes + 4 * 8],
    heat: [1, 2, 2],
    unknown: [7, 9],
  }[kind];
  const levels = (kind === 'heat' ? [fine] : [fine, coarse]).map((map, level) => {
    const heads = parts.map((out, i) => convolution(`head.${i}.${level}`, map, out, 1, 1));
    const shown = kind === 'offsets' && end !== 'raw' ? heads.map((each, i) => (i === 0 ? each : g.Sigmoid(each))) : heads; // prettier-ignore
    return g.Concat(shown, 1);
  });
  const total = parts.reduce((sum, each) => sum + each, 0);
  if (kind === 'qualities') {
    const rows = levels.map((level) => g.Split(level, [classes, 4 * 8], 1).map((part) => g.Transpose(g.Reshape(part, [0, Number(part.shape![1]), -1]), [0, 2, 1]))); // prettier-ignore
    return builder.model([images], [...rows.map(([scores]) => g.Sigmoid(scores!)), ...rows.map(([, edges]) => edges!)]);
  }
  if (end === 'raw') return builder.model([images], levels);
  const all = g.Concat(levels.map((level) => g.Reshape(level, [0, total, -1])), 2); // prettier-ignore
  if (kind !== 'distances') return builder.model([images], [g.Transpose(all, [0, 2, 1])]);
  const [edges, scores] = g.Split(all, [4 * bins, classes], 1) as [Value, Value];
  const shares = g.Softmax(g.Transpose(g.Reshape(edges, [0, 4, bins, -1]), [0, 2, 1, 3]), 1);
  const steps = g.constant(float32(Array.from({ length: bins }, (_, i) => i), [1, bins, 1, 1])); // prettier-ignore
  const distances = g.Reshape(g.emit('Conv', [shares, steps], { kernel_shape: [1, 1] }), [0, 4, -1]);
  const boxes = g.Mul(distances, 8);
  const probabilities = g.Sigmoid(scores);
  if (end === 'decoded' || end === 'open') return builder.model([images], [g.Concat([boxes, probabilities], 1)]);
  const most = g.constant(int64([20], [1]));
  const kept = g.emit('NonMaxSuppression', [g.Transpose(boxes, [0, 2, 1]), probabilities, most, g.constant(float32([0.5], [1])), g.constant(float32([0.2], [1]))]); // prettier-ignore
  return builder.model([images], [{ ...kept, type: 'int64', shape: ['found', 3] }]);
}

async function opened(kind: Kind, end: End): Promise<Model> {
  const size = { height: side, width: side };
  const preprocessor = { image_processor_type: 'ViTImageProcessor', size, do_normalize: false };
  const folder = await publishModel(path.join(root, `${kind}-${end}`), { model: net(kind, end), preprocessor });
  return openModel(folder, { plugins: [visionPlugin] });
}

const names = ['red', 'green', 'blue'];
let records: ImageRecord[];

beforeAll(async () => {
  records = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const label = i % 3;
      const [x, y] = [2 + ((i * 11) % 34), 3 + ((i * 17) % 32)];
      const data = new Uint8Array(side * side * 3).fill(20);
      for (let row = y; row < y + 24; row++)
        for (let column = x; column < x + 26; column++) data[3 * (row * side + column) + label] = 240;
      const file = path.join(root, `${i}.png`);
      await sharp(data, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toFile(file);
      return { file, place: file, objects: [{ category: names[label]!, box: [x, y, x + 26, y + 24] as const }] };
    }),
  );
});

describe.each([
  ['distances', 'raw'],
  ['distances', 'decoded'],
  ['distances', 'suppressed'],
  ['offsets', 'raw'],
  ['distances', 'open'],
  ['offsets', 'decoded'],
  ['qualities', 'decoded'],
] as const)('%s, %s', (kind, end) => {
  test('finds the levels', async () => {
    const { head } = detectorOf(await opened(kind, end), { size: { height: side, width: side } });
    expect(head).toMatchObject({ kind, classes });
    expect(head.kind !== 'queries' && head.levels.map(({ stride }) => stride)).toEqual([8, 16]);
  });
});

test.each([
  ['distances', 'suppressed'],
  ['offsets', 'decoded'],
  ['qualities', 'decoded'],
] as const)('%s, %s: learns boxes and answers with them', async (kind, end) => {
  const model = await opened(kind, end);
  const data = { root, train: records, validation: records };
  const task = objectDetection(data);
  const targetModules = model.modules().map(({ path: name }) => name).filter((name) => !name.includes('MatMul')); // prettier-ignore
  const lora = { r: 16, loraAlpha: 32, targetModules };
  const run = await train(model, { task, lora, epochs: 250, batchSize: 6, lr: 5e-3, seed: 1 });
  const { adapter } = await run.done;
  const { metrics: before } = await evaluate(model, { task });
  const { metrics } = await evaluate(model, { task, adapter });
  expect(before.map50).toBeLessThan(0.1);
  expect(metrics.map50).toBeGreaterThan(0.45);
  const predictor = await openPredictor(model, { task: 'object-detection', adapter, settings: { threshold: 0.1 } });
  let right = 0;
  for (const { file, objects } of records)
    for await (const { prediction } of predictor.predict(file)) {
      const [{ label, box } = { label: 'nothing', box: [0, 0, 0, 0] }] = prediction.objects;
      const [x0, y0] = objects![0]!.box!;
      if (label === objects![0]!.category && Math.hypot(box[0]! - x0, box[1]! - y0) < 10) right++;
    }
  expect(right).toBeGreaterThan(7);
  await predictor.release();

  // The merged file answers with its own decoding or suppression, too.
  const folder = path.join(root, `${kind}-merged`);
  await merge(model, adapter, folder);
  const merged = await openModel(folder, { plugins: [visionPlugin] });
  const same = await evaluate(merged, { task });
  expect(same.metrics.map).toBeCloseTo(metrics.map, 4);
  const feeds = { images: float32(Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i / 50)), [1, 3, side, side]) }; // prettier-ignore
  const session = await model.session({ adapters: { adapter } });
  const wanted = await session.run(feeds, { adapter: 'adapter' });
  await session.release();
  const found = await runOnce(openOnnx(path.join(folder, 'onnx/model.onnx')).model, feeds);
  for (const [name, { data, dims }] of Object.entries(wanted)) {
    expect(found[name]!.dims).toEqual(dims);
    const off = Array.from(data, Number).map((each, i) => Math.abs(each - Number(found[name]!.data[i])));
    expect(Math.max(0, ...off)).toBeLessThan(1e-3);
  }
});

test('another head is refused with its channels', async () => {
  const model = await opened('unknown', 'raw');
  expect(() => detectorOf(model)).toThrow(
    /7 \+ 9 channels of 8 x 8, 7 \+ 9 channels of 4 x 4, which is neither the head of YOLOv8/,
  );
  const decoded = await opened('unknown', 'decoded');
  expect(() => detectorOf(decoded)).toThrow(/7 \+ 9 channels of 8 x 8/);
});

test('a heat map and images without a size are refused', async () => {
  const heat = await opened('heat', 'raw');
  expect(() => detectorOf(heat)).toThrow(/1 \+ 2 \+ 2 channels of 8 x 8, which is a heat map of centers/);
  const open = await opened('distances', 'open');
  expect(() => detectorOf(open)).toThrow(/no fixed height and width.*Give a fixed "size" in preprocessor_config.json/);
});

test('more classes than the head has are refused', async () => {
  const model = await opened('distances', 'raw');
  const labels = ['red', 'green', 'blue', 'grey'];
  await expect(objectDetection(records, { labels }).prepare(model)).rejects.toThrow(/4 classes, and the head .* 3/);
});
