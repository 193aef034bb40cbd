import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { afterAll, expect, test } from 'vitest';
import { sceneLayouts, sceneNames, writeDetr } from '../../../../../test/fixtures/scenes.ts';
import { readImageData } from '../../data/readImageData.ts';
import { CocoEvaluation } from '../../metrics/cocoEvaluation.ts';
import { visionPlugin } from '../../plugin.ts';
import { objectDetection } from './objectDetection.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-coco-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Coco {
  readonly images: { id: number; file_name: string }[];
  readonly annotations: {
    image_id: number;
    category_id: number;
    bbox: [number, number, number, number];
    score: number;
  }[];
}

test('metrics of the written boxes are those of the task', async () => {
  const [data, out] = [path.join(root, 'scenes'), path.join(root, 'found.json')];
  await sceneLayouts['coco']!(data);
  const model = await openModel(writeDetr(path.join(root, 'detr')), { plugins: [visionPlugin] });
  const { validation: truths = [] } = await readImageData(data);
  const task = objectDetection(data);
  const lora = { r: 4, targetModules: 'all-linear' } as const;
  const { adapter } = await (await train(model, { task, lora, steps: 30, batchSize: 4, lr: 5e-3 })).done;
  await using predictor = await openPredictor(model, { task: 'object-detection', adapter, settings: { threshold: 0 } });
  const writer = predictor.writer!(out)!;
  for await (const { source, prediction } of predictor.predict(truths.map(({ file }) => file)))
    await writer.write({ file: truths[source]!.file, ...prediction });
  await writer.finish();
  expect(predictor.writer!(path.join(root, 'found.npz'))).toBeUndefined();

  const coco = JSON.parse(readFileSync(out, 'utf8')) as Coco;
  const evaluation = new CocoEvaluation('boxes', sceneNames.length);
  truths.forEach(({ file, objects = [] }, i) => {
    expect(coco.images[i]).toMatchObject({ id: i + 1, file_name: path.basename(file) });
    const trueOnes = objects.map(({ category, box: [x0, y0, x1, y1] = [0, 0, 0, 0] }) => ({ label: sceneNames.indexOf(category!), box: [x0, y0, x1 - x0, y1 - y0] as const })); // prettier-ignore
    const found = coco.annotations.filter((each) => each.image_id === i + 1).map(({ category_id: id, bbox: box, score }) => ({ label: id - 1, score, box })); // prettier-ignore
    evaluation.add(trueOnes, found);
  });
  const { metrics } = await evaluate(model, { task, adapter });
  expect(metrics.map).toBeGreaterThan(0);
  expect(evaluation.measure()().map).toBeCloseTo(metrics.map, 6);
});
