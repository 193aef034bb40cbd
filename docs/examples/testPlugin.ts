/** @file Holds the plugin in `series/` to what must hold of every plugin, as tests of its own would in any test runner. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, checkPlugin, conformance, makeCase, randomAdapter, randomFeeds } from '@onnx-lora/sdk/testing'; // prettier-ignore
import { forecast } from './series/forecast.ts';
import { seriesPlugin } from './series/plugin.ts';
import { publishModel, seriesConfig, writeSensor } from './series/published.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-plugin-'));
const [published, boiler, cases] = ['forecaster', 'boiler.csv', 'cases'].map((name) => path.join(folder, name)) as [string, string, string]; // prettier-ignore
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

// 3. A case with numbers that do not come from what is checked, to be kept beside the tests.
await makeCase(path.join(cases, 'forecaster'), {
  model,
  lora: { r: 1, targetModules: ['head'] },
  feeds: randomFeeds(model),
  labels: randomFeeds({ name: 'labels', inputs: { future: { type: 'float32', dims: [2, 6, 2] } } })['future']!,
  loss: { kind: 'mse', output: 'forecast' },
});
const { passed, failed, checks } = await conformance(cases, { plugins: [seriesPlugin] });
for (const { check, status, detail } of checks) console.log(`  ${check} ${status} ${detail}`);
assert.equal(failed, 0);
console.log(`The case passes ${passed} checks`);
await rm(folder, { recursive: true });
