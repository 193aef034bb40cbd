/** @file Image processors of transformers, timm and torchvision, by what they themselves gave. */

import { describe, expect, test } from 'vitest';
import { bytesOf, fixture, synthetic, worst } from '../../fixtures/goldens.ts';
import type { Image, ImageDecoder } from '../image/image.ts';
import { geometryOf, maskToInput } from './geometry.ts';
import { padBatch } from './normalize.ts';
import { ImagePreprocessorFactory } from './config/preprocessorFile.ts';

interface Case {
  name: string;
  config: Record<string, unknown>;
  from: [number, number];
  shape: number[];
  values: string;
  /** Class numbers of the red channel, resized along. */
  labels?: string;
  /** How far torch's resampling of 8 bits is from Pillow's. */
  levels?: number;
}

const { cases, batch } = fixture<{
  cases: Case[];
  batch: { config: Record<string, unknown>; from: [number, number][]; shape: number[]; values: string; mask: string };
}>('transformers.json');

const noFiles: ImageDecoder = { decode: () => Promise.reject(new Error('not used')) };
const factory = new ImagePreprocessorFactory(noFiles);
const floats = (base64: string): Float32Array => new Float32Array(bytesOf(base64).buffer);

describe('ImagePreprocessor', () => {
  test.each(cases)('does what $name does', async ({ config, from, shape, values, labels, levels = 0 }) => {
    expect(factory.recognises(config)).toBe(true);
    const image = synthetic(from[0], from[1], 3);
    const preprocessor = factory.create(config, 'config.json');
    const tensor = await preprocessor.preprocess(image);
    expect(tensor.dims).toEqual(shape);
    const golden = floats(values);
    const { normalization, resize } = preprocessor.plan;
    // A level after normalising, at most.
    const level = 1 / 255 / Math.min(...normalization.std);
    // torch computes the positions of its filters in float32.
    const rounding = resize?.fractional ? 2e-5 : 2e-6;
    expect(worst(tensor.data as Float32Array, golden)).toBeLessThanOrEqual(levels * level + rounding);
    const off = golden.reduce((sum, value, i) => sum + Math.abs(value - Number(tensor.data[i])), 0) / golden.length;
    expect(off).toBeLessThanOrEqual((levels / 10) * level + rounding);
    if (labels !== undefined) expect(labelsOf(image, config)).toEqual(bytesOf(labels));
  });

  test('pads a batch of several sizes as DETR does', async () => {
    const preprocessor = factory.create(batch.config, 'config.json');
    const tensors = await Promise.all(batch.from.map(([w, h]) => preprocessor.preprocess(synthetic(w, h, 3))));
    const { pixels, mask } = padBatch(tensors);
    expect(pixels.dims).toEqual(batch.shape);
    expect(worst(pixels.data as Float32Array, floats(batch.values))).toBeLessThanOrEqual(1e-6);
    expect(Uint8Array.from(mask.data as BigInt64Array, Number)).toEqual(bytesOf(batch.mask));
    expect(mask.dims).toEqual([2, batch.shape[2], batch.shape[3]]);
  });
});

/** The red channel as a class map in the model's input. */
function labelsOf(image: Image, config: Record<string, unknown>): Uint8Array {
  const { plan } = factory.create(config, 'config.json');
  let data = image.data.filter((_, i) => i % 3 === 0);
  // As the loader does with the masks of files.
  if (plan.reduceLabels) data = data.map((each) => (each === 0 || each === 255 ? 255 : each - 1));
  return maskToInput(geometryOf(plan, image), { width: image.width, height: image.height, data }).data;
}
