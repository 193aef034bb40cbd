/** @file Where the description of a model's preprocessing is found. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ImageDecoder } from '../image/image.ts';
import type { ImagePreprocessor } from './preprocessor.ts';
import { ImagePreprocessorFactory, preprocessorOf } from './config/preprocessorFile.ts';

const noFiles: ImageDecoder = { decode: () => Promise.reject(new Error('not used')) };
const factories = [new ImagePreprocessorFactory(noFiles)];

/** A model in a folder of these JSON files. */
function modelIn(files: Readonly<Record<string, unknown>>): TaskModel {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-preprocessor-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(content));
  const config = files['config.json'] as Readonly<Record<string, unknown>> | undefined;
  return { name: 'a model', folder, inputs: {}, outputs: {}, ...(config && { config }) };
}

async function planOf(files: Readonly<Record<string, unknown>>): Promise<ImagePreprocessor['plan']> {
  const { preprocessor } = await preprocessorOf(modelIn(files), factories);
  return (preprocessor as ImagePreprocessor).plan;
}

const vit = { image_processor_type: 'ViTImageProcessor', size: { height: 8, width: 9 } };
const timm = { architecture: 'vit_small', pretrained_cfg: { input_size: [3, 28, 28], crop_pct: 1 } };

describe('preprocessorOf', () => {
  test('takes the file of its own first, then the joint one, then what timm has in config.json', async () => {
    const size = { kind: 'exact', height: 8, width: 9 };
    expect((await planOf({ 'preprocessor_config.json': vit, 'config.json': timm })).resize!.to).toEqual(size);
    expect(
      (await planOf({ 'processor_config.json': { image_processor: vit }, 'config.json': timm })).resize!.to,
    ).toEqual(size);
    const plan = await planOf({ 'config.json': timm });
    expect(plan.resize).toEqual({ to: { kind: 'shortest-edge', edge: 28 }, resample: 'bicubic' });
    expect(plan.crop).toEqual({ height: 28, width: 28, rounding: 'half-even' });
  });

  test('fills in the processor of the model where the file names none', async () => {
    const plan = await planOf({ 'preprocessor_config.json': { size: 300 }, 'config.json': { model_type: 'detr' } });
    expect(plan).toMatchObject({ resize: { to: { kind: 'shortest-edge', edge: 300, longest: 1333 } }, pad: 'batch' });
  });

  test('says what to do where nothing describes it', async () => {
    await expect(preprocessorOf(modelIn({ 'config.json': { model_type: 'vit' } }), factories)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/preprocessor_config\.json.*Copy the file.*weights\.transforms\(\)/s),
    });
    const lone = { name: 'm.onnx', inputs: {}, outputs: {} };
    await expect(preprocessorOf(lone, factories)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test.each([
    [{ pretrained_cfg: { input_size: [3, 28] } }, /config\.json": "input_size" must be 3 whole numbers.*\[3,28\]/],
    [{ pretrained_cfg: { input_size: [1, 28, 28] } }, /"input_size" of 1 x 28 x 28 .* is not supported/],
    [{ pretrained_cfg: { input_size: [3, 28, 30] } }, /"crop_mode" center is not supported/],
    [{ pretrained_cfg: { crop_mode: 'border' } }, /"crop_mode" border is not supported/],
    [{ pretrained_cfg: { crop_pct: 1e9 } }, /"crop_pct" is 1000000000, which makes no size/],
    [{ pretrained_cfg: { interpolation: 'random' } }, /"interpolation" must be one of nearest.*"random"/],
    [{ pretrained_cfg: { std: [0, 1, 1] } }, /"std" must be above 0/],
  ])('refuses %j of timm', async (config, reason) => {
    await expect(planOf({ 'config.json': config })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test('needs the crop of a torchvision preset', async () => {
    await expect(
      planOf({ 'preprocessor_config.json': { image_processor_type: 'ImageClassification' } }),
    ).rejects.toThrow('"crop_size" is missing');
  });
});
