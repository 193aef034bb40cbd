/** @file Pictures and boxes of a batch as transformers' processors make them, where the oracle is present. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, it, test } from 'vitest';
import type { Image } from '../../image/image.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';
import { imageLoader } from '../../preprocess/imageLoader.ts';
import { resizedSize } from '../../preprocess/imagePlan.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { collateDetection, exampleOf, learnable } from './detectionData.ts';
import type { Detector } from './detector.ts';

const oracle = path.join(import.meta.dirname, '../../../../../../shared/oracle/detection/preprocess');
const processors = existsSync(oracle)
  ? readdirSync(oracle).filter((name) => existsSync(path.join(oracle, name, 'batch.safetensors')))
  : [];

interface Labels {
  readonly class_labels: number[];
  readonly boxes: number[][];
}

const read = <T>(...names: string[]): T => JSON.parse(readFileSync(path.join(oracle, ...names), 'utf8')) as T;

test('sizes of YOLOS are multiples of 16', () => {
  const rule = { kind: 'shortest-edge', edge: 800, longest: 1333, multiple: 16 } as const;
  expect(resizedSize({ height: 480, width: 640 }, rule)).toEqual({ height: 800, width: 1056 });
  expect(resizedSize({ height: 260, width: 90 }, { ...rule, edge: 96, longest: 160 })).toEqual({
    height: 160,
    width: 48,
  });
});

describe.each(processors)('%s', (name) => {
  it('makes the batch of transformers', async () => {
    const config = read<Record<string, unknown>>(name, 'preprocessor_config.json');
    const { batch } = read<{ batch: { order: string[]; labels: Labels[] } }>(name, 'expected.json');
    const annotations = read<Record<string, { annotations: { category_id: number; bbox: [number, number, number, number]; iscrowd: number }[] }>>('annotations.json'); // prettier-ignore
    const decoded = (await readSafetensors(path.join(oracle, 'decoded.safetensors'))).tensors;
    const expected = (await readSafetensors(path.join(oracle, name, 'batch.safetensors'))).tensors;
    const preprocessor = new ImagePreprocessorFactory(new ImageFileDecoder()).create(
      config,
      'preprocessor_config.json',
    );
    const loader = imageLoader(preprocessor);
    const labels = Array.from({ length: 100 }, (_, i) => String(i));
    const examples = await Promise.all(
      batch.order.map(async (file) => {
        const { data, dims } = decoded.get(file)!;
        const image: Image = { height: dims[0]!, width: dims[1]!, data: data as Uint8Array };
        const objects = annotations[file]!.annotations.map(({ category_id, bbox: [x, y, w, h], iscrowd }) => ({
          category: String(category_id),
          ...(w > 0 && h > 0 ? { box: [x, y, x + w, y + h] as const } : {}),
          crowd: iscrowd === 1,
        }));
        const record: ImageRecord = { file, place: file, objects };
        const loaded = await loader.load({ image, boxes: learnable(record, labels).map(({ box }) => box) });
        return exampleOf(loaded, record, labels, { isDrawn: false, isChanged: false });
      }),
    );
    const head = { kind: 'queries', ports: {} };
    const detector = { input: { name: 'pixel_values' }, mask: 'pixel_mask', head } as Detector;
    const { inputs, targets } = collateDetection(examples, detector, { name, inputs: {}, outputs: {} }, 1);
    const pixels = expected.get('pixel_values')!;
    expect(inputs['pixel_values']!.dims).toEqual(pixels.dims);
    const found = inputs['pixel_values']!.data as Float32Array;
    const worst = (pixels.data as Float32Array).reduce(
      (most, value, i) => Math.max(most, Math.abs(value - found[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
    const mask = expected.get('pixel_mask');
    if (mask) expect(inputs['pixel_mask']!.data).toEqual(mask.data);
    const slots = targets['labels']!.dims[1]!;
    batch.labels.forEach(({ class_labels: classes, boxes }, i) => {
      expect(Number(targets['counts']!.data[i])).toBe(classes.length);
      classes.forEach((label, k) => {
        expect(Number(targets['labels']!.data[i * slots + k])).toBe(label);
        boxes[k]!.forEach((edge, axis) => expect(Number(targets['boxes']!.data[(i * slots + k) * 4 + axis])).toBeCloseTo(edge, 5)); // prettier-ignore
      });
    });
  });
});
