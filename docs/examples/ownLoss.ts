/**
 * @file A loss of your own: the pinball loss, with which a model learns not the middle of what may come but a quantile.
 * Here it forecasts what nine of ten readings stay below.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel, train } from '@onnx-lora/sdk';
import { type GraphBuilder, type Value, withLoss } from '@onnx-lora/sdk/tasks';
import { forecaster } from './series/family.ts';
import { forecast } from './series/forecast.ts';
import { publishModel, writeSensor } from './series/published.ts';

/**
 * `max(q·d, (q − 1)·d)` of the difference d to what came, mean over all. https://arxiv.org/abs/1102.2101
 *
 * @param found `[batch, steps, variables]`, float
 * @param came the same shape
 */
function pinball(g: GraphBuilder, found: Value, came: Value, q: number): Value {
  const d = g.Sub(came, found);
  // q·d where too little was forecast, (q − 1)·d where too much.
  return g.ReduceMean(g.Add(g.Mul(g.Relu(d), q), g.Mul(g.Relu(g.Neg(d)), 1 - q)), [0, 1, 2], false);
}

const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-own-loss-'));
const [published, boiler] = [path.join(folder, 'forecaster'), path.join(folder, 'boiler.csv')];
await publishModel(published);
await writeSensor(boiler, 12, 1);

const model = await openModel(published, { families: [forecaster] });
for (const q of [0.5, 0.9]) {
  const task = withLoss(forecast(boiler), (g, outputs, targets) =>
    pinball(g, outputs['forecast']!, targets['future']!, q),
  );
  const run = await train(model, { task, lora: { r: 4 }, steps: 400, lr: 1e-2 });
  const { adapter } = await run.done;

  const data = await task.prepare(model);
  const { length } = data.train;
  const examples = await Promise.all(Array.from({ length }, (_, i) => data.train.get(i)));
  const { inputs, targets } = await data.collate(examples);
  const session = await model.session({ adapters: { adapter } });
  const { forecast: found } = await session.run(inputs, { adapter: 'adapter' });
  await session.release();
  const below = Array.from(targets['future']!.data as Float32Array).filter(
    (value, i) => value <= Number(found!.data[i]),
  ).length;
  const share = below / found!.data.length;
  console.log(`${(100 * share).toFixed(0)} % of the readings stay below the forecast for ${100 * q} %`);
  if (Math.abs(share - q) > 0.1) throw new Error('The adapter learned another quantile.');
}
await rm(folder, { recursive: true });
