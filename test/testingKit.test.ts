/** @file The example's plugin, and tasks of the domain packages, by the checks of the test kit: as a plugin's own tests do. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Model, openModel } from '@onnx-lora/sdk';
import {
  checkAdapterRoundTrip,
  checkPlugin,
  checkTask,
  publishModel,
  randomAdapter,
  visionTransformer,
} from '@onnx-lora/testing';
import { imageClassification, visionPlugin } from '@onnx-lora/vision';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forecast } from '../docs/examples/series/forecast.ts';
import { seriesPlugin } from '../docs/examples/series/plugin.ts';
import { publishModel as publishForecaster, seriesConfig, writeSensor } from '../docs/examples/series/published.ts';
import { writeDigits } from './fixtures/digits.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-kit-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the plugin of the example', () => {
  const readings = path.join(scratch, 'boiler.csv');
  let model: Model;
  beforeAll(async () => {
    const folder = path.join(scratch, 'forecaster');
    await publishForecaster(folder);
    await writeSensor(readings, 12, 1);
    model = await openModel(folder, { plugins: [seriesPlugin] });
  });

  it('is sound', async () => {
    const facts = { config: model.config!, modulePaths: model.modules().map((each) => each.path) };
    const vit = { config: { model_type: 'vit' }, modulePaths: ['vit.encoder.layer.0.attention.attention.query'] };
    const found = await checkPlugin(seriesPlugin, {
      families: { forecaster: { own: [facts], others: [vit] } },
      preprocessors: [
        {
          config: { processor_class: 'SeriesProcessor', ...seriesConfig },
          files: [readings],
          input: model.inputs['readings']!,
        },
      ],
      tasks: [{ task: forecast(readings), model }],
    });
    expect(found).toEqual([]);
  });

  it('has adapters that go there and back', async () => {
    const adapter = await randomAdapter(model, { lora: { r: 2 } });
    expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
  });
});

it('image classification, with a head for the labels of the data', async () => {
  const folder = await publishModel(path.join(scratch, 'vit'), {
    model: visionTransformer({ image: 8, patch: 4 }),
    config: { model_type: 'vit', id2label: { 0: 'a', 1: 'b', 2: 'c' }, image_size: 8 },
    preprocessor: {
      image_processor_type: 'ViTImageProcessor',
      do_resize: true,
      size: { height: 8, width: 8 },
      resample: 2,
      do_rescale: true,
      rescale_factor: 1 / 255,
      do_normalize: true,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
    },
  });
  const digits = path.join(scratch, 'digits');
  writeDigits(digits, { perClass: 3, classes: [3, 7] });
  const model = await openModel(folder, { plugins: [visionPlugin] });
  expect(await checkTask(imageClassification(digits), model, { lora: { r: 1 } })).toEqual([]);
});
