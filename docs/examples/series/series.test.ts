/** @file The example's domain: what it refuses, its measures beside numbers by hand, and a run on the command line. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32, openModel } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, checkFamily, checkTask, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callJson } from '../../../packages/cli/fixtures/call.ts';
import { baselines, ForecastErrors } from './errors.ts';
import { forecaster } from './family.ts';
import { forecast } from './forecast.ts';
import { seriesPlugin } from './plugin.ts';
import { SeriesPreprocessor } from './preprocessor.ts';
import { publishModel, writeSensor } from './published.ts';
import { readReadings } from './readings.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-series-'));
const [published, boiler] = [path.join(folder, 'forecaster'), path.join(folder, 'boiler.csv')];
beforeAll(async () => {
  await publishModel(published);
  await writeSensor(boiler, 12, 1);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Length 3, horizon 2, variables x and y; x is stored in units of 10 above 5. */
const small = new SeriesPreprocessor({
  length: 3,
  horizon: 2,
  variables: { x: { mean: 5, std: 10 }, y: { mean: 0, std: 1 } },
});

describe('readings', () => {
  const file = path.join(folder, 'readings.csv');
  const read = (text: string): Promise<unknown> => {
    writeFileSync(file, text);
    return readReadings(file, ['x', 'y'], 2);
  };

  it('are columns by name, whatever their order', async () => {
    expect(await read('y,note,time,x\n1,a,2026-01-01,2\n3,b,2026-01-02,4\n')).toEqual(float32([2, 1, 4, 3], [2, 2]));
  });

  it.each([
    ['a column that is not there', 'x,z\n1,2\n3,4\n', 'has no column "y", which the model forecasts. Its columns are x, z: rename one.'], // prettier-ignore
    ['too few rows', 'x,y\n1,2\n', 'has 1 rows, but at least 2 are needed. Give a longer series.'],
    ['a cell that is no number', 'x,y\n1,2\n3,\n', 'line 3, column "y": a number is expected, but it is empty.'],
    ['a gap', 'time,x,y\n1,0,0\n2,0,0\n4,0,0\n', 'line 4, column "time": one step after the row above is expected, but it is "4".'], // prettier-ignore
    ['rows that are not sorted', 'time,x,y\n2,0,0\n1,0,0\n', 'line 3, column "time": one step after the row above is expected'], // prettier-ignore
    ['a time that is none', 'time,x,y\nnoon,0,0\n1,0,0\n', 'column "time": a number or a date is expected, but it is "noon".'], // prettier-ignore
  ])('refuse %s', async (_, text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });
});

it('baselines repeat the last reading and the last season', () => {
  const window = float32([1, 10, 2, 20, 3, 30], [1, 3, 2]);
  const { naive, seasonalNaive } = baselines(window, 3, 2);
  expect(naive).toEqual(float32([3, 30, 3, 30, 3, 30], [1, 3, 2]));
  expect(seasonalNaive).toEqual(float32([2, 20, 3, 30, 2, 20], [1, 3, 2]));
});

it('errors are in the units of the readings, and relative to the baselines', () => {
  const errors = new ForecastErrors(small, 3);
  errors.update(
    { forecast: float32([0.6, 3, 0.7, 5], [1, 2, 2]) },
    { window: float32([0.1, 1, 0.2, 2, 0.3, 3], [1, 3, 2]), future: float32([0.4, 4, 0.5, 5], [1, 2, 2]) },
  );
  // x: off by 2 and 2, naive by 1 and 2, seasonal by 3 and 3. y: off by 1 and 0, naive by 1 and 2, seasonal by 3 and 3.
  const found = errors.result();
  expect(found['relativeError']).toBeCloseTo((2 / 1.5 + 0.5 / 1.5) / 2, 5);
  expect(found['seasonalRelativeError']).toBeCloseTo((2 / 3 + 0.5 / 3) / 2, 5);
  expect([found['meanAbsoluteError:x'], found['meanAbsoluteError:y']].map((each) => each!.toFixed(4))).toEqual(['2.0000', '0.5000']); // prettier-ignore
  expect(errors.bySteps(1)).toEqual({ model: [1, 0], naive: [1, 2], seasonalNaive: [3, 3] });
});

it('family, task and adapters pass the checks of the test kit', async () => {
  const model = await openModel(published, { plugins: [seriesPlugin] });
  const facts = { config: model.config!, modulePaths: model.modules().map((each) => each.path) };
  expect(checkFamily(forecaster, { own: [facts] })).toEqual([]);
  expect(await checkTask(forecast(boiler, { season: 12 }), model)).toEqual([]);
  expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { r: 2 } }))).toEqual([]);
  await expect(forecast(boiler, { season: 25 }).prepare(model)).rejects.toThrow('season is 25. Give whole rows, 24 at most.'); // prettier-ignore
});

it('trains, and forecasts, on the command line', async () => {
  const plugin = ['--plugin', path.join(import.meta.dirname, 'plugin.ts')];
  const out = path.join(folder, 'run');
  const flags = ['--task', 'forecast', '--data', boiler, '--set', 'season=12', '--steps', '200', '--lr', '1e-2', '--out', out]; // prettier-ignore
  const { before, after } = await callJson<Record<'before' | 'after', Record<string, number>>>('train', published, ...plugin, ...flags); // prettier-ignore
  expect(before['relativeError']).toBeCloseTo(1, 1);
  expect(after['relativeError']).toBeLessThan(0.2);
  expect(after['seasonalRelativeError']).toBeLessThan(0.9);
  expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('Errors of pressure by step');

  // The readings after the last: the wave continues within the noise.
  const hours = Array.from({ length: 6 }, (_, i) => 800 + i);
  const truth = hours.map((hour) => 20 + 6 * Math.sin((hour / 6) * Math.PI) + 2 * Math.sin((hour / 30) * Math.PI));
  const answers = await callJson<[{ temperature: number[] }]>('predict', published, boiler, ...plugin, '--task', 'forecast', '--adapter', path.join(out, 'adapter')); // prettier-ignore
  expect(answers[0].temperature.map((each, i) => Math.abs(each - truth[i]!)).filter((error) => error > 1)).toEqual([]);
});
