/** @file A measurement is found again, numbers that JSON lacks included, for the same step alone. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet } from '@onnx-lora/testing';
import { afterAll, expect, it } from 'vitest';
import { PreparedCache } from '../../files/preparedCache.ts';
import { float32 } from '../../runtime/tensor.ts';
import { keptMeasurement } from './keptMeasurement.ts';
import type { MeasuredPrecision } from './measuredPrecision.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-kept-measurement-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const measured: MeasuredPrecision = {
  precision: { name: 'int8', saturates: true, inFloat32: ['forward head'] },
  products: [
    { name: 'forward head', module: 'head', error: Infinity },
    { name: 'backward head', module: 'head', error: 0.1 + 0.2 },
  ],
  cosine: NaN,
  lossError: 1e-17,
  forGradients: [],
};

it('is measured once for a step', async () => {
  const model = linearNet({ inputs: 8, hidden: 8, layers: 1, outputs: 2 });
  let count = 0;
  const measure = (x: number, settings: readonly unknown[] = ['int8'], smallest = 1): Promise<MeasuredPrecision> =>
    keptMeasurement(
      { model, weightBytes: 100, feeds: [{ x: float32([x], [1]) }], settings, name: 'net' },
      () => {
        count++;
        return Promise.resolve(measured);
      },
      { cache: new PreparedCache(root, 1e6), smallest },
    );
  expect(await measure(1)).toEqual(measured);
  expect(await measure(1)).toEqual(measured);
  expect(count).toBe(1);
  await measure(2);
  await measure(1, ['int8-backward']);
  expect(count).toBe(3);
  // Too small to be kept.
  await measure(1, ['int8'], 1000);
  expect(count).toBe(4);
});
