/** @file Masks of objects from files to answers: outlines in, learned, measured, moved by augmentation, and out again. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, float32, merge, type Model, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { openOnnx } from '@onnx-lora/sdk/plugin';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeMaskNet } from '../../../../../test/fixtures/maskModels.ts';
import { sceneLayouts, sceneNames } from '../../../../../test/fixtures/scenes.ts';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { horizontalFlip } from '../../augment/orientation.ts';
import type { Mask } from '../../augment/sample.ts';
import { decodeRle, encodeRle, maskOfPolygons, parseCocoCounts } from '../../data/shapes/outlines.ts';
import { readImageData } from '../../data/readImageData.ts';
import { visionPlugin } from '../../plugin.ts';
import { detectorOf } from './detector.ts';
import { instanceSegmentation } from './objectDetection.ts';
import { maskInImage, masksOfRuns, polygonsOf, runsOf } from './masks.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-instances-'));
afterAll(() => rmSync(root, { recursive: true }));
const scenes = path.join(root, 'scenes');
const kinds = ['detr', 'maskformer'] as const;
const models = new Map<string, Model>();

beforeAll(async () => {
  await sceneLayouts['coco']!(scenes);
  for (const kind of kinds)
    models.set(kind, await openModel(await writeMaskNet(path.join(root, kind), kind), { plugins: [visionPlugin] }));
});

test.each(kinds)('%s: learns masks, answers with them, merged as beside the base, and reports', async (kind) => {
  const model = models.get(kind)!;
  const { train: records } = await readImageData(scenes, {});
  const task = instanceSegmentation({ root: scenes, train: records, validation: records });
  const lora = { r: 16, loraAlpha: 32, targetModules: () => true };
  const run = await train(model, { task, lora, epochs: 150, batchSize: 4, lr: 5e-3, seed: 1 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { adapter } = await run.done;
  expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
  const [{ metrics: before }, { metrics: after }] = [await evaluate(model, { task }), await evaluate(model, { task, adapter })];
  expect(before.map50).toBeLessThan(0.1);
  expect(after.map50).toBeGreaterThan(0.25);

  const predictor = await openPredictor(model, { task: 'instance-segmentation', adapter, settings: { threshold: 0.3 } });
  let found = 0;
  for (const i of [0, 1, 2])
    for await (const { prediction } of predictor.predict(records[i]!.file))
      for (const { label, segmentation, polygons } of prediction.objects) {
        expect(sceneNames).toContain(label);
        expect(segmentation.size).toEqual([48, 64]);
        const counts = parseCocoCounts(segmentation.counts, 'the answer');
        const pixels = decodeRle({ kind: 'runs', height: 48, width: 64, counts });
        const filled = maskOfPolygons(polygons, 64, 48);
        expect(pixels.data.every((each, at) => each <= filled.data[at]!)).toBe(true);
        found++;
      }
  expect(found).toBeGreaterThan(2);
  await predictor.release();

  const folder = path.join(root, `${kind}-merged`);
  await merge(model, adapter, folder);
  const feeds = { pixel_values: float32(Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i / 90)), [1, 3, 64, 64]) };
  const session = await model.session({ adapters: { adapter } });
  const wanted = await session.run(feeds, { adapter: 'adapter' });
  const merged = await runOnce(openOnnx(path.join(folder, 'onnx/model.onnx')).model, feeds);
  for (const [name, { data }] of Object.entries(wanted))
    expect(Math.max(...Array.from(data, Number).map((each, i) => Math.abs(each - Number(merged[name]!.data[i]))))).toBeLessThan(1e-3);

  const prepared = await task.prepare(model);
  const sections = await prepared.report!({
    run: (inputs, which) => session.run(inputs, { adapter: which === 'base' ? null : 'adapter' }),
    adapter, batchSize: 2, model, options: {},
  });
  await session.release();
  expect(sections.map(({ title }) => title)).toEqual(['Classes', 'Mistakes', 'Precision and recall', 'Worst results', 'Usual results'].slice(0, sections.length));
  expect(sections.length).toBeGreaterThan(3);
}); // prettier-ignore

test('perfect masks are all right, and moved ones are not', async () => {
  const prepared = await instanceSegmentation(scenes).prepare(models.get('maskformer')!);
  const { validation } = prepared;
  const examples = await Promise.all(Array.from({ length: validation!.length }, (_, i) => validation!.get(i)));
  const scoreOf = async (shift: number): Promise<number> => {
    const { targets } = await prepared.collate(examples);
    const [rows, slots, height, width] = targets['masks']!.dims as [number, number, number, number];
    const outputs = {
      class_queries_logits: float32(examples.flatMap(({ labels }) => Array.from({ length: slots }, (_, i) => [0, 1, 2, 3].map((c) => (c === (labels[i] ?? 3) ? 9 : -9))).flat()), [rows, slots, 4]),
      masks_queries_logits: float32(Float32Array.from(targets['masks']!.data as Uint8Array, (_, i, ) => ((targets['masks']!.data as Uint8Array)[i - shift] ? 9 : -9)), [rows, slots, height, width]),
    };
    const own = prepared.metrics();
    own.update(outputs, targets);
    return own.result().map;
  };
  // Pictures of 64 x 48 pixels were enlarged to 64 x 64, so that edges of masks come within a pixel.
  expect(await scoreOf(0)).toBeGreaterThan(0.85);
  expect(await scoreOf(8)).toBeLessThan(0.4);
}); // prettier-ignore

test('augmentation moves masks: a flip mirrors them, mosaics put them where their boxes are', async () => {
  const model = models.get('maskformer')!;
  const flipped = await instanceSegmentation(scenes, { augment: [horizontalFlip({ probability: 1 })] }).prepare(model);
  const [plain, mirrored] = [await flipped.train.get(1), await flipped.train.get(1, 0)];
  plain.masks!.forEach(({ data, width }, i) =>
    expect(data.map((_, at) => data[at - (at % width) + width - 1 - (at % width)]!)).toEqual(mirrored.masks![i]!.data),
  );
  const mixed = await instanceSegmentation(scenes, { mosaic: 1 }).prepare(model);
  let seen = 0;
  for (let draw = 0; draw < 6; draw++) {
    const { boxes, masks } = await mixed.train.get(draw, draw);
    boxes.forEach(([x0, y0, x1, y1], i) => {
      const { width, height, data } = masks![i]!;
      expect(data.length).toBe(width * height);
      // Rectangles fill their boxes, up to rounding.
      const area = data.reduce((sum, each) => sum + each, 0);
      expect(Math.abs(area - (x1 - x0) * (y1 - y0))).toBeLessThan(2 * (x1 - x0 + y1 - y0) + 4);
      const inside = data.reduce((sum, each, at) => sum + (each && at % width >= x0 - 1 && at % width < x1 + 1 && at / width >= y0 - 2 && at / width < y1 + 2 ? 1 : 0), 0); // prettier-ignore
      expect(inside).toBe(area);
      seen++;
    });
  }
  expect(seen).toBeGreaterThan(5);
});

test('outlines of pixels are filled to the same pixels, but for holes; runs return from their tensor', () => {
  const random = new Random(2);
  for (let turn = 0; turn < 30; turn++) {
    const [width, height] = [1 + random.index(12), 1 + random.index(9)];
    const mask: Mask = { width, height, data: Uint8Array.from({ length: width * height }, () => Number(random.next() < 0.6)) }; // prettier-ignore
    const filled = maskOfPolygons(polygonsOf(mask), width, height);
    expect(mask.data.every((each, at) => each <= filled.data[at]!)).toBe(true);
    // Without holes nothing is added.
    const again = maskOfPolygons(polygonsOf(filled), width, height);
    expect(again.data).toEqual(filled.data);
    const rle = encodeRle(mask);
    expect(masksOfRuns({ runs: runsOf([[], [rle, rle]]) }, [{ width: 1, height: 1 }, mask])).toEqual([[], [rle, rle]]);
  }
  expect(polygonsOf({ width: 3, height: 2, data: Uint8Array.of(0, 1, 1, 0, 1, 0) })).toEqual([[3, 0, 3, 1, 2, 1, 2, 2, 1, 2, 1, 0]]); // prettier-ignore
});

test('a mask is read between its places, where the picture lies in the input', () => {
  // Scores fall by 1 a column, from 1.5 to -1.5: zero lies in the middle, at half of the input's width.
  const scores = { rows: 2, columns: 4, data: Float32Array.of(1.5, 0.5, -0.5, -1.5, 1.5, 0.5, -0.5, -1.5) };
  // A picture of 10 x 5 pixels fills the left 80 of 96 columns.
  const geometry = { scale: { x: 8, y: 8 }, shift: { x: 0, y: 0 }, input: { width: 10, height: 5 } };
  const { data } = maskInImage(scores, { width: 96, height: 40, geometry });
  expect(Array.from(data.subarray(0, 10))).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
});

test('objects without outlines and models without masks are refused', async () => {
  const boxes = path.join(root, 'boxes');
  await sceneLayouts['voc']!(boxes);
  await expect(instanceSegmentation(boxes).prepare(models.get('detr')!)).rejects.toThrow(
    /scene0\.xml.*: object 1 has a box alone, and instance-segmentation learns outlines/,
  );
  const { name, inputs } = models.get('detr')!;
  const outputs = { logits: { type: 'float32', dims: [1, 5, 4] }, pred_boxes: { type: 'float32', dims: [1, 5, 4] } } as const;
  expect(() => detectorOf({ name, inputs, outputs }, { kind: 'masks' })).toThrow(/gives no masks of objects: it has no output "pred_masks"/);
}); // prettier-ignore
