/** @file The task from files to answers: three layouts of the same scenes, boxes in error, evaluation, report. */

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, type Model, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sceneLayouts, sceneNames as names, writeDetr } from '../../../../../test/fixtures/scenes.ts';
import { horizontalFlip } from '../../augment/orientation.ts';
import { visionPlugin } from '../../plugin.ts';
import { detectorOf } from './detector.ts';
import { objectDetection, type ObjectDetectionOptions } from './objectDetection.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-detection-'));
afterAll(() => rmSync(root, { recursive: true }));
let model: Model;
const folderOf = (name: string): string => path.join(root, name);

beforeAll(async () => {
  const folder = writeDetr(path.join(root, 'detr'));
  model = await openModel(folder, { plugins: [visionPlugin] });
  for (const [name, layout] of Object.entries(sceneLayouts)) await layout(folderOf(name));
});

const options = { lora: { r: 4, targetModules: 'all-linear' }, steps: 4, batchSize: 4, lr: 1e-3, seed: 3 } as const;

async function losses(task: ReturnType<typeof objectDetection>, more: object = {}): Promise<number[]> {
  const found: number[] = [];
  const run = await train(model, { ...options, ...more, task });
  for await (const event of run) if (event.type === 'step') found.push(event.loss);
  await run.done;
  return found;
}

describe('layouts', () => {
  test('all layouts give the same objects and the same training', async () => {
    const all = Object.keys(sceneLayouts).map((name) => objectDetection(folderOf(name)));
    const prepared = await Promise.all(all.map((task) => task.prepare(model)));
    for (const { train: own, validation } of prepared) {
      expect([own.length, validation!.length]).toEqual([8, 4]);
      expect(Array.from({ length: 8 }, (_, i) => own.nameOf!(i)).join()).toMatch(/scene0.*scene7/);
    }
    const examples = await Promise.all(
      prepared.map(({ train: own }) => Promise.all([0, 1, 2, 5].map((i) => own.get(i)))),
    );
    const first = examples[0]!;
    // 20 x 14 pixels from (4, 6), in an image of 64 x 48 that becomes 64 x 64.
    const [[x0, y0, x1, y1] = []] = first[0]!.boxes;
    expect([x0, y0, x1, y1]).toEqual([4, 8, 24, expect.closeTo(26.667, 3)]);
    expect(first.map(({ labels }) => labels.length)).toEqual([1, 2, 3, 0]);
    for (const own of examples.slice(1))
      own.forEach(({ labels, boxes }, i) => {
        expect(labels).toEqual(first[i]!.labels);
        boxes.flat().forEach((edge, k) => expect(edge).toBeCloseTo(first[i]!.boxes.flat()[k]!, 4));
      });
    const coco = await losses(all[0]!);
    expect(coco).toHaveLength(4);
    for (const task of all.slice(1)) (await losses(task)).forEach((loss, i) => expect(loss).toBeCloseTo(coco[i]!, 3));
  });

  test.each<[string, string, string, RegExp]>([
    [
      'yolo',
      'labels/train/scene1.txt',
      '7 0.5 0.5 0.2 0.2',
      /scene1\.txt, line 1: the class is 7, and data\.yaml names 3 classes/,
    ],
    ['yolo', 'labels/train/scene1.txt', '1 0.5 0.5 0.2', /scene1\.txt, line 1: .*neither a box/],
    ['yolo', 'data.yaml', 'train: images/train\nval: images/val\n', /data\.yaml": "names" must list the classes/],
    [
      'yolo',
      'data.yaml',
      'train: ../../etc\nnames: [a]\n',
      /data\.yaml": its "train" is "\.\.\/\.\.\/etc", which is not in/,
    ],
    [
      'voc',
      'Annotations/scene1.xml',
      '<annotation><object><name>disc</name></object></annotation>',
      /scene1\.xml, object 1: its <bndbox>/,
    ],
    ['voc', 'Annotations/scene1.xml', '<annotation><object></annotation>', /scene1\.xml" is not valid XML/],
    [
      'voc',
      'Annotations/scene1.xml',
      '<annotation><object><name>disc</name><bndbox><xmin>70</xmin><ymin>2</ymin><xmax>80</xmax><ymax>9</ymax></bndbox></object></annotation>',
      /scene1\.xml: the box \[70, 2, 80, 9\] of class "disc" lies outside of the image/,
    ],
  ])('%s: %s is refused with its place', async (layout, file, text, message) => {
    const folder = mkdtempSync(path.join(root, 'wrong-'));
    cpSync(folderOf(layout), folder, { recursive: true });
    writeFileSync(path.join(folder, file), text);
    const read = async (): Promise<unknown> => {
      const { train: own } = await objectDetection(folder).prepare(model);
      return Promise.all(Array.from({ length: own.length }, (_, i) => own.get(i)));
    };
    await expect(read()).rejects.toThrow(message);
  });

  test('boxes without an extent, and doubled ones, are told', async () => {
    const folder = mkdtempSync(path.join(root, 'doubled-'));
    cpSync(folderOf('yolo'), folder, { recursive: true });
    writeFileSync(
      path.join(folder, 'labels/train/scene1.txt'),
      '1 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0 0.2\n',
    );
    const { warnings = [] } = await objectDetection(folder).prepare(model);
    expect(warnings.some((each) => /scene1\.txt, object 3: the box has no width/.test(each))).toBe(true);
    expect(warnings.some((each) => /scene1\.txt, object 2: the same box/.test(each))).toBe(true);
  });
});

describe('the task', () => {
  test('learns, is measured, answers, and reports', async () => {
    const task = objectDetection(folderOf('coco'));
    const run = await train(model, { ...options, steps: 40, lr: 5e-3, task });
    const found: number[] = [];
    for await (const event of run) if (event.type === 'step') found.push(event.loss);
    const { adapter } = await run.done;
    const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    expect(mean(found.slice(-5))).toBeLessThan(0.6 * mean(found.slice(0, 5)));
    const before = await evaluate(model, { task });
    const after = await evaluate(model, { task, adapter });
    expect(after.metrics.map50).toBeGreaterThan(before.metrics.map50 + 0.02);
    expect(after.metrics['recallAt100']).toBeLessThanOrEqual(1);

    const predictor = await openPredictor(model, { task: 'object-detection', adapter, settings: { threshold: 0.01 } });
    const [file] = [path.join(folderOf('coco'), 'test/images/scene8.png')];
    for await (const { prediction } of predictor.predict(file!)) {
      const { objects } = prediction;
      expect(objects.length).toBeGreaterThan(0);
      expect(objects.map(({ score }) => score)).toEqual(objects.map(({ score }) => score).sort((a, b) => b - a));
      expect(names).toContain(objects[0]!.label);
      expect(objects[0]!.box).toHaveLength(4);
    }
    await predictor.release();

    const prepared = await task.prepare(model);
    const session = await model.session({ adapters: { adapted: adapter } });
    const sections = await prepared.report!({
      run: (inputs, which) => session.run(inputs, { adapter: which === 'base' ? null : 'adapted' }),
      adapter, batchSize: 2, model, options: {},
    }); // prettier-ignore
    await session.release();
    expect(sections.map(({ kind, title }) => `${kind} ${title}`)).toEqual([
      'table Classes', 'table Mistakes', 'lines Precision and recall', 'gallery Worst results',
    ]); // prettier-ignore
  });

  test('other classes get a new head, trained with the adapter', async () => {
    const folder = mkdtempSync(path.join(root, 'others-'));
    cpSync(folderOf('yolo'), folder, { recursive: true });
    writeFileSync(
      path.join(folder, 'data.yaml'),
      'train: images/train\nval: images/val\nnames: [disc, square, tile, star]\n',
    );
    const task = objectDetection(folder, { labels: ['disc', 'square', 'tile', 'star'] });
    const { head } = await task.prepare(model);
    expect(head).toEqual({ output: 'logits', labels: ['disc', 'square', 'tile', 'star', 'no object'] });
    const { adapter } = await (await train(model, { ...options, task })).done;
    expect(adapter.config.modulesToSave).toEqual(['class_labels_classifier']);
    expect(Object.keys((await evaluate(model, { task, adapter })).metrics)[0]).toBe('map');
  });

  test('augmentation moves boxes: a flip mirrors them', async () => {
    const given: ObjectDetectionOptions = { augment: [horizontalFlip({ probability: 1 })] };
    const { train: own } = await objectDetection(folderOf('coco'), given).prepare(model);
    const [plain, flipped] = [await own.get(1), await own.get(1, 0)];
    expect(plain.truth).toHaveLength(2);
    expect(flipped.truth).toBeUndefined();
    plain.boxes.forEach(([x0, y0, x1, y1], i) => {
      expect(flipped.boxes[i]!.map((edge) => Number(edge.toFixed(3)))).toEqual([64 - x1, y0, 64 - x0, y1].map((edge) => Number(edge.toFixed(3)))); // prettier-ignore
    });
  });

  test('a model without boxes is refused, with its outputs', () => {
    expect(() => detectorOf({ ...facts(model), outputs: { logits: { type: 'float32', dims: [1, 10] } } })).toThrow(
      /it has no outputs "logits".* and "pred_boxes"/,
    );
  });
});

/** The parts of a model that a detector is read from. */
const facts = ({ name, inputs, outputs }: Model): Pick<Model, 'name' | 'inputs' | 'outputs'> => ({
  name,
  inputs,
  outputs,
});

const oracle = path.join(import.meta.dirname, '../../../../../../shared/oracle/detection');
test.skipIf(!existsSync(oracle))('a detector with learned weights finds what it finds in torch', async () => {
  const digits = await openModel(path.join(oracle, 'models/digit-detector'), { plugins: [visionPlugin] });
  const task = objectDetection(path.join(oracle, 'digits/adapt'));
  const { metrics } = await evaluate(digits, { task });
  const { test: before } = JSON.parse(readFileSync(path.join(oracle, 'digits/reference/before.json'), 'utf8')) as {
    test: { mAP: number; mAP50: number };
  };
  expect(metrics.map).toBeCloseTo(before.mAP, 4);
  expect(metrics.map50).toBeCloseTo(before.mAP50, 4);
  // mAP 0.540 on digits as it knows them.
  const upright = await evaluate(digits, { task: objectDetection(path.join(oracle, 'digits/upright')) });
  expect(upright.metrics.map).toBeCloseTo(0.5399, 3);
});
