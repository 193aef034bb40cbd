/** @file One loaded model serves many adapters: one per call, one per row of a batch, blends, and some that come later. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, type AdapterChoice, loadAdapter, openModel, stack, train } from '@onnx-lora/sdk';
import { forecaster } from './series/family.ts';
import { decodeForecasts, forecast } from './series/forecast.ts';
import { preprocessorOf } from './series/preprocessor.ts';
import { publishModel, writeSensor } from './series/published.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-serve-'));
const published = path.join(folder, 'forecaster');
await publishModel(published);
const model = await openModel(published, { families: [forecaster] });

// An adapter for each sensor, of different ranks, saved as PEFT folders.
const sensors = { boiler: { period: 12, r: 4 }, tank: { period: 7, r: 8 } };
const adapters: Record<string, Adapter> = {};
for (const [name, { period, r }] of Object.entries(sensors)) {
  const data = path.join(folder, `${name}.csv`);
  await writeSensor(data, period, period);
  const { adapter } = await (await train(model, { task: forecast(data), lora: { r }, steps: 200, lr: 1e-2 })).done;
  await adapter.save(path.join(folder, name));
  adapters[name] = await loadAdapter(path.join(folder, name));
}

// One session: the base is in memory once, the adapters beside it. It computes in a worker thread.
const session = await model.session({ adapters });
const preprocessor = await preprocessorOf(model);
const boiler = await preprocessor.preprocess(path.join(folder, 'boiler.csv'));
const tank = await preprocessor.preprocess(path.join(folder, 'tank.csv'));
const ask = async (windows: (typeof boiler)[], adapter: AdapterChoice): Promise<number[]> => {
  const outputs = await session.run({ readings: stack(windows) }, { adapter });
  return decodeForecasts(outputs, preprocessor).map(({ temperature }) => (temperature as Float32Array)[0]!);
};

// Swap: the adapter is chosen for each call. null is the model as it was.
const separate = [...(await ask([boiler], 'boiler')), ...(await ask([tank], 'tank')), ...(await ask([tank], null))];
console.log('one call each: ', separate.map((value) => value.toFixed(3)).join('  '));

// Mix: the same three requests in one batch, an adapter per row.
const mixed = await ask([boiler, tank, tank], ['boiler', 'tank', null]);
console.log('in one batch:  ', mixed.map((value) => value.toFixed(3)).join('  '));
if (mixed.some((value, i) => Math.abs(value - separate[i]!) > 1e-4))
  throw new Error('Rows differ from separate calls.');

// Blend: the changes of several adapters, each with a weight.
const [blended] = await ask([tank], { boiler: 0.25, tank: 0.75 });
console.log('blended:       ', blended!.toFixed(3));

// Exchange: calls that were asked for before keep the adapter that they were asked with.
const before = ask([tank], 'tank');
await session.replace('tank', adapters['boiler']!);
const after = ask([tank], 'tank');
console.log('exchanged:     ', [...(await before), ...(await after)].map((value) => value.toFixed(3)).join('  '));
if (Math.abs((await before)[0]! - separate[1]!) > 1e-4) throw new Error('A call got the adapter of a later one.');
session.remove('boiler');

await session.release();
await rm(folder, { recursive: true });
