/**
 * @file A domain that the SDK has never heard of, series of sensor readings, brought by a plugin in `series/`: a model
 * family, a task and a preprocessor. Nothing in the SDK is touched.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, loadPlugins, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { seriesPlugin } from './series/plugin.ts';
import { publishModel, writeSensor } from './series/published.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-plugin-'));
const [published, boiler] = [path.join(folder, 'forecaster'), path.join(folder, 'boiler.csv')];
await publishModel(published);
await writeSensor(boiler, 12, 1);

// 1. Whatever hosts plugins, such as a command, loads them and finds what they bring by its name.
const registry = loadPlugins([seriesPlugin]);
const model = await openModel(published, { plugins: registry });
const factory = registry.tasks.find(({ name }) => name === model.family?.tasks[0]);
if (!model.family || !factory) throw new Error('No plugin knows this model.');
console.log(`A model of the family "${model.family.name}", for the task "${factory.name}"`);

// 2. Training and evaluation as for any other domain; the family says which modules to adapt.
const task = factory.create({ data: boiler, seed: 0, settings: { season: 12 } });
const run = await train(model, { task, lora: { r: 4 }, steps: 1200, lr: 1e-2 });
const { adapter, seconds } = await run.done;
console.log(`Adapted ${adapter.config.targetModules?.toString()} in ${seconds.toFixed(1)} s`);

const before = (await evaluate(model, { task })).metrics;
const after = (await evaluate(model, { task, adapter })).metrics;
for (const [name, value] of Object.entries(before)) console.log(`${name}: ${value.toFixed(2)} before, ${after[name]!.toFixed(2)} after`); // prettier-ignore
if (!(after['seasonalRelativeError']! < 1)) throw new Error('Repeating the last season forecasts as well.');

// 3. Answers for files.
const predictor = await openPredictor(model, { adapter, task: factory });
for await (const { prediction } of predictor.predict([boiler])) console.log('Next readings of the boiler:', prediction);
await predictor.release();
await rm(folder, { recursive: true });
