import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate, float32, type Model, modelForAdapter, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { type PreparedTask, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode } from '@onnx-lora/sdk/plugin';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { segformer, writeDarkShapes } from '../../../../../test/fixtures/shapes.ts';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { bytesOf } from '../../../fixtures/goldens.ts';
import { standardAugmentations } from '../../augment/augment.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { visionFamilies } from '../../families/index.ts';
import { indexedPng } from '../../image/imageFile.ts';
import { classColor } from '../../report/overlay.ts';
import { classMap, scoresOf } from './classMap.ts';
import { segmentationLoss } from './segmentationLoss.ts';
import {
  semanticSegmentation,
  type SemanticSegmentationOptions,
  semanticSegmentationTask,
  semanticSegmenter,
} from './semanticSegmentation.ts';
import type { SegmentationExample } from './segmentationReport.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';

const goldens = JSON.parse(readFileSync(join(segformer, 'goldens.json'), 'utf8')) as {
  image: string;
  classes: string;
  labels: string;
  logits: number[];
  logitsShape: number[];
  loss: number;
  weightedLoss: number;
  found: string;
};
const root = mkdtempSync(join(tmpdir(), 'onnx-lora-segmentation-'));
afterAll(() => rmSync(root, { recursive: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(segformer, { families: visionFamilies });
});

const logits = float32(goldens.logits, goldens.logitsShape);
const scene = join(root, 'golden');

async function writeImage(file: string, width: number, height: number, data: Uint8Array): Promise<void> {
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
}

function darkShapes(
  name: string,
  count: number,
  seed: number,
  numbers: [number, number, number] = [0, 1, 2],
): Promise<string> {
  return writeDarkShapes(join(root, name), { count, seed, numbers });
}

function prepare(
  data: string | readonly ImageRecord[],
  options: SemanticSegmentationOptions = {},
): Promise<PreparedTask<SegmentationExample>> {
  return semanticSegmentation(data, options).prepare(model);
}

/** The value of the task's loss on given scores. */
async function lossOf(scores: Tensor, labels: Tensor, options: SemanticSegmentationOptions = {}): Promise<number> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'l/' });
  const inputs = [
    { name: 'logits', type: 'float32', shape: scores.dims },
    { name: 'labels', type: 'int64', shape: labels.dims },
  ] as const;
  const loss = segmentationLoss(g, inputs[0], inputs[1], options);
  return Number((await runOnce(modelFrom(g, inputs, [loss]), { logits: scores, labels }))[loss.name]!.data[0]);
}

describe('as transformers does it', () => {
  beforeAll(async () => {
    for (const part of ['images', 'masks']) await mkdir(join(scene, part), { recursive: true });
    await writeImage(join(scene, 'images', 'a.png'), 50, 40, bytesOf(goldens.image));
    const mask = { width: 50, height: 40, data: bytesOf(goldens.classes) };
    writeFileSync(join(scene, 'masks', 'a.png'), indexedPng(mask, classColor));
  });

  test('labels are resized by the nearest pixel, and the loss is over those that count', async () => {
    const prepared = await prepare(scene);
    const { targets } = await prepared.collate([await prepared.train.get(0)]);
    const labels = targets['labels']!;
    expect(Uint8Array.from(labels.data as BigInt64Array, Number)).toEqual(bytesOf(goldens.labels));
    expect(await lossOf(logits, labels)).toBeCloseTo(goldens.loss, 5);
    const classWeights = [0.5, 1, 2];
    expect(await lossOf(logits, labels, { classWeights })).toBeCloseTo(goldens.weightedLoss, 5);
    // A batch's weight is the divisor of its loss, so that parts add up to the whole.
    const known = bytesOf(goldens.labels).filter((number) => number !== 255);
    expect(prepared.lossWeight!(targets)).toBe(known.length);
    const weighted = await prepare(scene, { classWeights });
    expect(weighted.lossWeight!(targets)).toBe(known.reduce((sum, number) => sum + classWeights[number]!, 0));
    expect(await prepare(scene, { dice: 1 })).not.toHaveProperty('lossWeight');
  });

  test('the graph gives its scores, and they become its class map at the size of the image', async () => {
    const segmenter = await semanticSegmenter(model);
    const session = await model.session();
    const file = join(scene, 'images', 'a.png');
    const feeds = await segmenter.feeds([file]);
    const outputs = await session.run(feeds);
    const off = goldens.logits.map((expected, i) => Math.abs(expected - (outputs['logits']!.data[i] as number)));
    // torchvision's resizing and Pillow's differ by a level here and there.
    expect(Math.max(...off)).toBeLessThan(0.2);
    const [scores] = scoresOf(logits);
    expect(classMap(scores!, { width: 50, height: 40 }).data).toEqual(bytesOf(goldens.found));

    const [prediction] = segmenter.decode({ logits }, feeds);
    const png = sharp(prediction!['mask'] as Uint8Array);
    expect(await png.metadata()).toMatchObject({ width: 50, height: 40, isPalette: true });
    expect([...(await png.raw().toBuffer())]).toEqual([...bytesOf(goldens.found)].flatMap((number) => [...classColor(number)])); // prettier-ignore
    const classes = prediction!['classes'] as { label: string; share: number }[];
    expect(classes[0]!.label).toBe('background');
    expect(classes.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    // In any order, and as often as is wanted.
    await segmenter.feeds([file, file]);
    expect(segmenter.decode({ logits }, feeds)).toEqual([prediction]);
    expect(() => segmenter.decode({ logits }, { ...feeds })).toThrow(/feeds are not of this segmenter/);
    await session.release();
  });
});

test('learns another look of the same classes, with augmentations, and reports it', async () => {
  const [data, validation] = [await darkShapes('train', 48, 1), await darkShapes('held', 16, 2)];
  const task = semanticSegmentation(data, {
    validation,
    augment: standardAugmentations({ scale: [0.7, 1] }),
    dice: 0.5,
  });
  const before = (await evaluate(model, { task, batchSize: 8 })).metrics;
  const run = await train(model, {
    task,
    lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
    steps: 40,
    batchSize: 8,
    lr: 5e-3,
    seed: 1,
    threads: 1,
  });
  const { adapter } = await run.done;
  const { metrics, confusion } = await evaluate(model, { task, adapter, batchSize: 8 });
  expect(before['meanIou']).toBeLessThan(0.4);
  expect(metrics['meanIou']).toBeGreaterThan(before['meanIou']! + 0.5);
  expect(Object.keys(metrics)).toEqual(['meanIou', 'dice', 'pixelAccuracy', 'boundaryF']);
  // Dice of a class is 2 IoU / (1 + IoU), which lies above it.
  expect(metrics['dice']).toBeGreaterThan(metrics['meanIou']!);
  expect(confusion!.counts.flat().reduce((sum, count) => sum + count, 0)).toBe(16 * 64 * 64);

  const prepared = await task.prepare(model);
  const [base, adapted] = [await model.session(), await model.session({ adapters: { adapter } })];
  const sections = await prepared.report!({
    model,
    adapter,
    options: {},
    batchSize: 5,
    run: (inputs, which) => (which === 'base' ? base.run(inputs) : adapted.run(inputs, { adapter: 'adapter' })),
  });
  expect(sections.map(({ kind, title }) => `${kind}: ${title}`)).toEqual(['table: Classes', 'gallery: Worst results', 'gallery: Usual results']); // prettier-ignore
  const [classes, worst] = sections;
  if (classes?.kind !== 'table' || worst?.kind !== 'gallery') throw new Error('not the sections that were expected');
  const after = classes.rows.map((row) => Number(row[3]));
  expect(after.reduce((sum, iou) => sum + iou, 0) / 3).toBeCloseTo(metrics['meanIou']!, 2);
  expect(worst.pictures[0]!.caption).toMatch(/\.png: mean IoU 0\.\d+\ntrue: (disc|square)\nfound: /);
  expect(await sharp(worst.pictures[0]!.image).metadata()).toMatchObject({ format: 'webp', width: 200, height: 64 });
}, 120_000);

test('other classes get a new head, which an adapter brings along', async () => {
  const data = await darkShapes('renamed', 24, 3, [1, 3, 0]);
  const labels = ['box', 'ground', 'nothing', 'ball'];
  const task = semanticSegmentation(data, { labels });
  const run = await train(model, {
    task,
    lora: { r: 4, targetModules: 'all-linear' },
    steps: 30,
    batchSize: 8,
    lr: 1e-2,
    seed: 1,
    threads: 1,
  });
  const { adapter } = await run.done;
  const { metrics } = await evaluate(model, { task, adapter, batchSize: 8 });
  expect(metrics['meanIou']).toBeGreaterThan(0.6);
  const own = modelForAdapter(model, adapter);
  expect(own.outputs['logits']!.dims?.[1]).toBe(4);
  const segmenter = await semanticSegmenter(own);
  const session = await model.session({ adapters: { adapter } });
  const file = join(data, 'images', '0.png');
  const feeds = await segmenter.feeds([file]);
  const [prediction] = segmenter.decode(await session.run(feeds, { adapter: 'adapter' }), feeds);
  expect((prediction!['classes'] as { label: string }[])[0]!.label).toBe('ground');
}, 120_000);

describe('classes', () => {
  const file = join(scene, 'images', 'a.png');
  const object = (category: string): ImageRecord => ({
    file, place: 'objects.json, image 1',
    objects: [{ category, shape: { kind: 'polygons', rings: [[10, 10, 30, 10, 30, 30, 10, 30]] } }],
  }); // prettier-ignore

  test('outlined objects take the model’s numbers, or new ones behind the background', async () => {
    const known = await prepare([object('square')]);
    expect(known.head).toBeUndefined();
    expect(new Set((await known.train.get(0)).classes.data)).toEqual(new Set([0, 2]));
    const other = await prepare([object('leaf')]);
    expect(other.head).toEqual({ output: 'logits', labels: ['background', 'leaf'] });
    expect(new Set((await other.train.get(0)).classes.data)).toEqual(new Set([0, 1]));
    await expect(prepare([object('leaf')], { labels: ['background', 'leave'] })).rejects.toThrow(
      /"leaf".*Did you mean "leave"/s,
    );
  });

  test('black and white masks are an object and its background', async () => {
    const mask = join(root, 'white.png');
    const data = Uint8Array.from({ length: 2000 }, (_, i) => (i % 50 < 20 ? 255 : 0));
    await sharp(data, { raw: { width: 50, height: 40, channels: 1 } })
      .png()
      .toFile(mask);
    const { head, train: examples } = await prepare([{ file, mask, place: 'a' }]);
    expect(head!.labels).toEqual(['background', 'object']);
    const { classes } = await examples.get(0);
    expect(classes.data.reduce((sum, one) => sum + one, 0) / classes.data.length).toBeCloseTo(0.4, 1);
  });

  test('numbers beyond the classes, and images without masks, are named', async () => {
    const data = await darkShapes('beyond', 2, 4, [0, 7, 7]);
    await expect(prepare(data)).rejects.toThrow(/class number 7, but there are 3 classes.*"square".*labels/);
    await expect(prepare([{ file, place: 'row 3' }])).rejects.toThrow(/row 3.*neither a mask nor outlined objects/);
    await expect(prepare(scene, { classWeights: [1, 2] })).rejects.toThrow(/classWeights.*3 classes/);
    await expect(prepare(scene, { labels: ['a', 'a'] })).rejects.toThrow(/each once/);
  });

  test('augmentations differ by draw, and evaluation has none', async () => {
    const { train: examples } = await prepare(scene, { augment: standardAugmentations(), seed: 5 });
    expect(examples.isDeterministic).toBe(false);
    const plain = (await examples.get(0)).pixels.data;
    const [first, again, other] = await Promise.all([0, 0, 1].map((draw) => examples.get(0, draw)));
    expect(again!.pixels.data).toEqual(first!.pixels.data);
    expect(other!.pixels.data).not.toEqual(first!.pixels.data);
    expect(first!.pixels.data).not.toEqual(plain);
    expect((await prepare(scene)).train.isDeterministic).toBe(true);
  });
});

test('the command line’s settings make options, and mistakes are named', async () => {
  const decoder = new ImageFileDecoder();
  const factory = semanticSegmentationTask(decoder, [new ImagePreprocessorFactory(decoder)]);
  const create = (settings: Record<string, string | number | readonly string[]>) =>
    factory.create({ data: scene, seed: 1, holdOut: 0.5, settings });
  const prepared = await create({ labels: ['a', 'b', 'c', 'd'], augment: 'strong', classWeights: ['1', '1', '2', '3'], dice: 1 }).prepare(model); // prettier-ignore
  expect(prepared.head!.labels).toEqual(['a', 'b', 'c', 'd']);
  expect(prepared.train.isDeterministic).toBe(false);
  expect(() => create({ augment: 'strnog' })).toThrow(/Did you mean "strong"/);
  expect(() => create({ lossSize: 'half' })).toThrow('lossSize must be one of labels, logits, but it is "half"');
  expect(() => create({ classWeights: ['x'] })).toThrow(/numbers/);
  expect(existsSync(scene)).toBe(true);
});
