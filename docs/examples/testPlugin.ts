/** @file Holds the plugin in `series/` to what must hold of every plugin, as tests of its own would in any test runner. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, checkPlugin, checkGradients, randomAdapter } from '@onnx-lora/testing';
import { forecast } from './series/forecast.ts';
import { seriesPlugin } from './series/plugin.ts';
import { publishModel, seriesConfig, writeSensor } from './series/published.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-plugin-'));
const [published, boiler] = [path.join(folder, 'forecaster'), path.join(folder, 'boiler.csv')];
await publishModel(published);
await writeSensor(boiler, 12, 1);
const model = await openModel(published, { plugins: [seriesPlugin] });

// 1. All that the plugin brings, each by the check of its kind: a list of what does not hold.
const problems = await checkPlugin(seriesPlugin, {
  families: {
    forecaster: {
      own: [{ config: model.config!, modulePaths: model.modules().map((each) => each.path) }],
      others: [{ config: { model_type: 'vit' }, modulePaths: ['vit.encoder.layer.0.attention.attention.query'] }],
    },
  },
  preprocessors: [
    {
      config: { processor_class: 'SeriesProcessor', ...seriesConfig },
      files: [boiler],
      input: model.inputs['readings']!,
    },
  ],
  tasks: [{ task: forecast(boiler), model }],
});
assert.deepEqual(problems, []);
console.log('The family, the preprocessor and the task are sound');

// 2. Adapters of the family's models: saved, loaded, merged, taken out, mixed in one batch.
const adapter = await randomAdapter(model, { lora: { r: 2 } });
assert.deepEqual(await checkAdapterRoundTrip(model, adapter), []);
console.log(`An adapter of ${adapter.parameterCount} numbers goes there and back`);

// 3. Gradients of all that is trained, on a batch of your choice, against finite differences of the loss.
const prepared = await forecast(boiler).prepare(model);
const batch = await prepared.collate([await prepared.train.get(0), await prepared.train.get(1)]);
const found = await checkGradients(model, { lora: { r: 2 }, loss: (...given) => prepared.loss(...given), ...batch });
assert.deepEqual(
  found.filter(({ problem }) => problem),
  [],
);
console.log(`Gradients of ${found.length} tensors are those of finite differences`);
await rm(folder, { recursive: true });
