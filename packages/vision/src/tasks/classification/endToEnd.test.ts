/** @file From digits on disk to adapters that say numbers and several labels, on the small ViT that reads digits. */

import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, merge, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import { expect, test } from 'vitest';
import { writeDigits } from '../../../../../test/fixtures/digits.ts';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { visionFamilies } from '../../families/index.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';
import { imageRegression, imageRegressionTask, multiLabelClassification, multiLabelTask } from './imageTasks.ts';

const vit = fileURLToPath(new URL('../../../../../docs/examples/models/vit-mnist', import.meta.url));
const decoder = new ImageFileDecoder();
const preprocessors = [new ImagePreprocessorFactory(decoder)];

/** A manifest of upright digits; a fifth of them are held out. */
function manifest(header: string, columns: (digit: number) => string): { file: string; images: string[] } {
  const root = dataFolder({});
  const images = writeDigits(join(root, 'images'), { perClass: 20 });
  const lines = images.map((image, i) => {
    const digit = Number(relative(join(root, 'images'), image)[0]);
    return `${relative(root, image)},${columns(digit)},${i % 5 === 0 ? 'validation' : 'train'}`;
  });
  const file = join(root, 'manifest.csv');
  writeFileSync(file, [`image,${header},split`, ...lines].join('\n'));
  return { file, images };
}

async function trained(model: Model, task: Task): Promise<Adapter> {
  const lora = { r: 4, targetModules: ['query', 'value'] };
  return (await (await train(model, { task, lora, steps: 50, batchSize: 20, lr: 1e-2, threads: 1 })).done).adapter;
}

async function outputs(
  model: Model,
  feeds: Parameters<Awaited<ReturnType<Model['session']>>['run']>[0],
  adapter?: Adapter,
) {
  const session = await model.session({ adapters: adapter ? { a: adapter } : {}, threads: 1 });
  const found = await session.run(feeds, { adapter: adapter ? 'a' : null });
  await session.release();
  return found;
}

test('numbers come in units of the data, with the adapter and merged', async () => {
  const model = await openModel(vit, { families: visionFamilies });
  // Far from 0 and 1: a head that did not take units in would be lost.
  const { file, images } = manifest('grams', (digit) => String(5000 + 100 * digit));
  const task = imageRegression(file, { columns: { values: ['grams'] } });
  const prepared = await task.prepare(model);
  expect(prepared.head).toMatchObject({ output: 'logits', labels: ['value'], targetScaling: { offset: [5450] } });
  expect(prepared.head!.targetScaling!.factor[0]).toBeCloseTo(100 * Math.sqrt(8.25), 3);

  const adapter = await trained(model, task);
  const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
  expect(metrics['r2']).toBeGreaterThan(0.6);
  expect(metrics['rmse']).toBeLessThan(200);
  expect(metrics['spearman']).toBeGreaterThan(0.75);

  const factory = imageRegressionTask(decoder, preprocessors);
  const processor = await factory.processor(modelForAdapter<Model>(model, adapter));
  const feeds = await processor.feeds(images.slice(180, 184));
  const found = processor.decode(await outputs(model, feeds, adapter), feeds);
  for (const { value } of found) expect(Math.abs(Number(value) - 5900)).toBeLessThan(400);

  const folder = dataFolder({});
  await merge(model, adapter, join(folder, 'model.onnx'));
  const merged = await openModel(folder, { families: visionFamilies });
  const again = processor.decode(await outputs(merged, feeds), feeds);
  found.forEach(({ value }, i) => expect(again[i]!['value']).toBeCloseTo(Number(value), 1));
  // Its answers are known to be numbers, so another training keeps the head.
  expect((await imageRegression(file, { columns: { values: ['grams'] } }).prepare({ ...merged, folder: vit, learned: merged.learned, inputs: merged.inputs, outputs: merged.outputs, name: 'merged' })).head).toBeUndefined(); // prettier-ignore
});

test('several labels, with thresholds of their own', async () => {
  const model = await openModel(vit, { families: visionFamilies });
  const { file, images } = manifest('labels', (digit) => [...(digit % 2 === 0 ? ['even'] : []), ...(digit >= 7 ? ['large'] : []), ...([0, 6, 8, 9].includes(digit) ? ['loop'] : [])].join('|')); // prettier-ignore
  const task = multiLabelClassification(file, { threshold: 'tuned', posWeights: 'balanced' });
  const prepared = await task.prepare(model);
  expect(prepared.head!.labels).toEqual(['even', 'large', 'loop']);
  const { targets } = await prepared.collate([await prepared.train.get(0), await prepared.train.get(16)]);
  expect([...targets['labels']!.data]).toEqual([1, 0, 1, 0, 0, 0]);

  const adapter = await trained(model, task);
  expect(Object.keys(adapter.notes.learned!['thresholds'] as object)).toEqual(['even', 'large', 'loop']);
  const own = modelForAdapter<Model>(model, adapter);
  const { metrics } = await evaluate(model, { task: multiLabelClassification(file), adapter, threads: 1 });
  expect(metrics['mAP']).toBeGreaterThan(0.85);
  expect(metrics['microF1']).toBeGreaterThan(0.75);

  const processor = await multiLabelTask(decoder, preprocessors).processor(own);
  const feeds = await processor.feeds([images[8 * 20 + 3]!]);
  const [eight] = processor.decode(await outputs(model, feeds, adapter), feeds);
  expect(Object.keys(eight!['scores'] as object)).toEqual(['even', 'large', 'loop']);
  expect(eight!['labels']).toBe('even, large, loop');
});

test.each<[string, string, RegExp]>([
  ['no values', 'label', /no values to predict/],
  ['an empty value', 'grams', /manifest\.csv|values/],
])('regression refuses %s', async (_, column, reason) => {
  const { file } = manifest(column, () => (column === 'grams' ? '' : 'x'));
  const model = await openModel(vit, { families: visionFamilies });
  const task = imageRegression(file, column === 'grams' ? { columns: { values: ['grams'] } } : {});
  await expect(task.prepare(model)).rejects.toThrow(reason);
});
