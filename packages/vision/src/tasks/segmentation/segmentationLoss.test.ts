import { int64 } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { gradcheck } from '../../../../../test/support/gradcheck.ts';
import { IGNORED, segmentationLoss, type SegmentationLossOptions } from './segmentationLoss.ts';

const shape = [2, 3, 2, 3];
const labels = int64(
  Array.from({ length: 2 * 5 * 6 }, (_, i) => (i % 11 === 0 ? IGNORED : Math.floor(i / 4) % 3)),
  [2, 5, 6],
);

/** How far the gradient by the scores is from the finite difference. */
async function errors(options: SegmentationLossOptions, opset: number): Promise<number[]> {
  const checks = await gradcheck((g, [logits]) => segmentationLoss(g, logits!, g.constant(labels), options), {
    inputs: [{ shape, domain: 'any' }],
    opset,
    type: 'float32',
  });
  return checks.map(({ error, tolerance }) => error / tolerance);
}

describe.each<[string, SegmentationLossOptions]>([
  ['resized scores', {}],
  ['picked labels', { lossSize: 'logits' }],
  ['Dice and weights', { dice: 0.7, classWeights: [1, 2, 0.5], labelSmoothing: 0.1 }],
])('the gradient with %s', (_, options) => {
  it.each([11, 13, 18])('is that of finite differences at opset %i', async (opset) => {
    const [error, ...others] = await errors(options, opset);
    expect(others).toEqual([]);
    expect(error).toBeLessThan(1);
  });
});

it('says what an old opset lacks', async () => {
  await expect(errors({}, 10)).rejects.toThrow(/opset 10.*lossSize to "logits"/);
});
