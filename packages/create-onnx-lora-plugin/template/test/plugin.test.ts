/** @file Family, preprocessor and task keep what the SDK's test kit asks of them, and something is learned. */

import path from 'node:path';
import { evaluate, train } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, checkPlugin, randomAdapter } from '@onnx-lora/testing';
import { expect, test } from 'vitest';
import plugin, { regression } from '../src/index.ts';
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
    tasks: [{ task: regression(data), model }],
  });
  expect(problems).toEqual([]);
});

test('an adapter is the same after saving and loading, merging and taking out', async () => {
  expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { r: 2 } }))).toEqual([]);
});

test('training lowers the error on held-out samples', async () => {
  const task = regression(data);
  const before = await evaluate(model, { task });
  const run = await train(model, { task, lora: { r: 4 }, steps: 60, batchSize: 8, lr: 0.01 });
  const { adapter } = await run.done;
  const after = await evaluate(model, { task, adapter });
  expect(after.metrics['rmse']).toBeLessThan(before.metrics['rmse']! / 2);
});
