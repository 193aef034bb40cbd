import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sharedFolder, tensorsOf } from '../../../fixtures/goldens.ts';
import type { Box, Point } from '../../data/imageRecord.ts';
import { geometryOf } from '../../preprocess/geometry.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage } from './imageMask.ts';
import { padPoints, promptToInput } from './prompt.ts';

const normalization = { rescaleFactor: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] } as const;
const samPlan = (edge: number): ImagePlan => ({
  resize: { to: { kind: 'longest-edge', edge }, resample: 'bilinear' },
  normalization,
  pad: { height: edge, width: edge },
});

interface PromptGolden {
  image: string;
  longest_edge: number;
  original: [number, number];
  input_points: Point[][];
  input_labels: (0 | 1)[][];
  input_boxes: Box[];
  expected: { input_points: number[][][]; input_labels: number[][]; input_boxes: number[][] };
}
interface Prompts {
  prompts: PromptGolden[];
  batch: {
    images: string[];
    longest_edge: number;
    input_points: Point[][];
    input_labels: (0 | 1)[][];
    expected: { input_points: number[][][]; input_labels: number[][] };
  };
}

describe.skipIf(!sharedFolder)('as SamProcessor (needs ../shared)', () => {
  const folder = join(sharedFolder ?? '', 'sam-prompts');
  const { prompts, batch } = JSON.parse(
    sharedFolder ? readFileSync(join(folder, 'prompts.json'), 'utf8') : '{"prompts":[]}',
  ) as Prompts;
  const sizeOf = (image: string) => {
    const [height, width] = prompts.find((each) => each.image === image)!.original;
    return { height, width };
  };

  test('prompts move with the image, bit for bit', () => {
    expect(prompts.length).toBeGreaterThan(0);
    for (const golden of prompts) {
      const geometry = geometryOf(samPlan(golden.longest_edge), sizeOf(golden.image));
      golden.input_points.forEach((points, i) => {
        const prompt = promptToInput({ points, labels: golden.input_labels[i]! }, geometry, golden.image);
        expect(prompt).toEqual({ points: golden.expected.input_points[i], labels: golden.expected.input_labels[i] });
      });
      golden.input_boxes.forEach((box, i) => {
        const { box: found } = promptToInput({ box }, geometry, golden.image);
        expect(found).toEqual(golden.expected.input_boxes[i]);
      });
    }
  });

  test('fewer points than another image has are filled up', () => {
    const found = batch.images.map((image, i) =>
      promptToInput(
        { points: batch.input_points[i]!, labels: batch.input_labels[i]! },
        geometryOf(samPlan(batch.longest_edge), sizeOf(image)),
        image,
      ),
    );
    expect(padPoints(found)).toEqual({
      count: 2,
      points: batch.expected.input_points.flat(2),
      labels: batch.expected.input_labels.flat(),
    });
  });

  test('masks come back at the size of the image', () => {
    const tensors = tensorsOf(join(folder, 'post_process_masks.safetensors'));
    const floats = (name: string) => new Float32Array(tensors.get(name)!.bytes.slice().buffer);
    const pixels = 64 * 64;
    const low = floats('pred_masks');
    const examples = [...tensors.keys()].filter((name) => name.endsWith('logits'));
    expect(examples.length).toBeGreaterThan(0);
    for (const name of examples) {
      const key = name.slice(0, -'logits'.length);
      const [height, width] = sizeFrom(tensors.get(`${key}original_size`)!);
      const [, , ...size] = tensors.get(name)!.shape as [number, number, number, number];
      const expected = floats(name);
      const wanted = tensors.get(`${key}mask`)!.bytes;
      const geometry = geometryOf(samPlan(256), { height, width });
      expect([height, width]).toEqual(size);
      const area = height * width;
      for (let m = 0; m < expected.length / area; m++) {
        const mask = { height: 64, width: 64, data: low.subarray(m * pixels, (m + 1) * pixels) };
        const logits = logitsOfImage(mask, geometry, { isPadded: true });
        const worst = logits.data.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[m * area + i]!)), 0);
        expect(worst).toBeLessThan(2e-5);
        expect(cutLogits(logits)).toEqual(wanted.subarray(m * area, (m + 1) * area));
      }
    }
  });
});

function sizeFrom({ bytes }: { bytes: Uint8Array }): [number, number] {
  const values = new BigInt64Array(bytes.slice().buffer);
  return [Number(values[0]), Number(values[1])];
}
