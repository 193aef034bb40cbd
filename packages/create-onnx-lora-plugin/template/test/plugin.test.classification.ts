/** @file Family, preprocessor and task keep what the SDK's test kit asks of them, and something is learned. */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { evaluate, type Model, modelForAdapter, train } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, checkPlugin, randomAdapter } from '@onnx-lora/testing';
import { expect, test } from 'vitest';
import plugin, { classification } from '../src/index.classification.ts';
import { ClassificationFactory } from '../src/task.classification.ts';
import { makeExample } from './support.ts';

const { model, data } = await makeExample();

test('the plugin is sound, and so is all that it brings', async () => {
  const modulePaths = model.modules().map((each) => each.path);
  const problems = await checkPlugin(plugin, {
    families: {
      '{{family}}': {
        own: [{ config: model.config!, modulePaths }, { modulePaths }],
        others: [{ config: { model_type: 'vit' }, modulePaths: ['vit.encoder.layer.0.attention.attention.query'] }],
      },
    },
    preprocessors: [
      {
        config: { processor_class: '{{family}}', length: 8, mean: 20, std: 5 },
        files: [path.join(path.dirname(data), 'samples/0.txt')],
        input: model.inputs['x']!,
      },
    ],
    tasks: [{ task: classification(data), model }],
  });
  expect(problems).toEqual([]);
});

test('an adapter is the same after saving and loading, merging and taking out', async () => {
  expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { r: 2 } }))).toEqual([]);
});

test('training makes answers about held-out samples right', async () => {
  const task = classification(data);
  const before = await evaluate(model, { task });
  const run = await train(model, { task, lora: { r: 4 }, steps: 60, batchSize: 8, lr: 0.01 });
  const { adapter } = await run.done;
  const after = await evaluate(model, { task, adapter });
  expect(after.metrics['accuracy']).toBeGreaterThan(before.metrics['accuracy']! + 0.3);
  expect(after.metrics['loss']).toBeLessThan(before.metrics['loss']! / 2);
});

test('for labels that the model does not know, a new head answers', async () => {
  const table = path.join(path.dirname(data), 'renamed.csv');
  const rows = (await readFile(data, 'utf8')).replaceAll(/falling$/gm, 'down').replaceAll(/(?:level|rising)$/gm, 'up');
  await writeFile(table, rows);
  const task = classification(table, { validation: 0 });
  const { adapter } = await (await train(model, { task, lora: { r: 4 }, steps: 60, batchSize: 8, lr: 0.01 })).done;
  const own = modelForAdapter<Model>(model, adapter);
  const predictor = await new ClassificationFactory().predictor(own, { adapter });
  const samples = rows
    .trim()
    .split('\n')
    .slice(1)
    .map((row) => row.split(','));
  const files = samples.map(([file]) => path.join(path.dirname(table), file!));
  let right = 0;
  for await (const { source, prediction } of predictor.predict(files))
    if (prediction['label'] === samples[source]![1]) right++;
  await predictor.release();
  expect(right).toBeGreaterThan(0.9 * samples.length);
});
