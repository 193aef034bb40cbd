import { fileURLToPath } from 'node:url';
import { type Model, openModel } from '@onnx-lora/sdk';
import { beforeAll, describe, expect, test } from 'vitest';
import { bytesOf, fixture } from '../../../fixtures/goldens.ts';
import type { Box } from '../../data/imageRecord.ts';
import { visionFamilies } from '../../families/index.ts';
import { geometryOf } from '../../preprocess/geometry.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage } from './imageMask.ts';
import { SamPredictor } from './samPredictor.ts';

interface Goldens {
  image: string;
  masks: { width: number; height: number; low: number[]; logits: number[] }[];
  /** Boxes by their first and last pixel; `columns`: how many pixels of each column are in the mask. */
  generated: { score: number; box: Box; area: number; columns: number[] }[];
}
const goldens = fixture<Goldens>('sam.json');
const folder = fileURLToPath(new URL('../../../../../docs/examples/models/sam-tiny', import.meta.url));
const plan: ImagePlan = {
  resize: { to: { kind: 'longest-edge', edge: 128 }, resample: 'bilinear' },
  normalization: { rescaleFactor: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] },
  pad: { height: 128, width: 128 },
};

test('masks are enlarged as SamImageProcessor enlarges them', () => {
  for (const { width, height, low, logits } of goldens.masks) {
    const geometry = geometryOf(plan, { width, height });
    for (let m = 0; m < 2; m++) {
      const data = Float32Array.from(low.slice(m * 256, (m + 1) * 256));
      const found = logitsOfImage({ width: 16, height: 16, data }, geometry, { isPadded: true });
      const expected = Float32Array.from(logits.slice(m * width * height, (m + 1) * width * height));
      const worst = found.data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
      expect(worst).toBeLessThan(1e-5);
      expect(cutLogits(found)).toEqual(cutLogits({ width, height, data: expected }));
    }
  }
});

describe('SamPredictor', () => {
  let model: Model;
  const image = bytesOf(goldens.image);
  beforeAll(async () => {
    model = await openModel(folder, { families: visionFamilies });
  });

  test('finds what the pipeline mask-generation finds', async () => {
    const predictor = await SamPredictor.create(model);
    const encoded = await predictor.setImage(image);
    expect(encoded.size).toEqual({ width: 120, height: 90 });
    const options = { pointsPerSide: 8, pointsPerBatch: 10, predIouThreshold: 0.6, stabilityThreshold: 0.8 };
    const found = await encoded.generateMasks(options);
    expect(found.length).toBe(goldens.generated.length);
    found.forEach(({ mask, score, box, area }, i) => {
      const golden = goldens.generated[i]!;
      expect(score).toBeCloseTo(golden.score, 4);
      // A logit near 0 may fall to either side.
      expect(Math.abs(area - golden.area)).toBeLessThanOrEqual(2);
      const columns = Array.from(
        { length: 120 },
        (_, x) => mask.data.filter((each, k) => each === 1 && k % 120 === x).length,
      );
      const worst = Math.max(...columns.map((count, x) => Math.abs(count - golden.columns[x]!)));
      expect(worst).toBeLessThanOrEqual(1);
      const [x0, y0, x1, y1] = golden.box;
      expect(box).toEqual([x0, y0, x1 + 1, y1 + 1]);
    });
    await predictor.release();
  });

  test('leaves out small masks, and those whose box another has', async () => {
    const predictor = await SamPredictor.create(model);
    const encoded = await predictor.setImage(image);
    const options = { pointsPerSide: 8, predIouThreshold: 0.6, stabilityThreshold: 0.8 };
    const all = await encoded.generateMasks({ ...options, boxNms: 1 });
    const large = await encoded.generateMasks({ ...options, boxNms: 1, minArea: 500 });
    expect(all.length).toBeGreaterThan(goldens.generated.length);
    expect(large.map(({ area }) => area)).toEqual(all.map(({ area }) => area).filter((area) => area >= 500));
    await expect(encoded.generateMasks({ pointsPerSide: 0 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await predictor.release();
  });
});
