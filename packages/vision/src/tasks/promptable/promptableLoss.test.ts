import { float32, OnnxLoraError } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { fixture } from '../../../fixtures/goldens.ts';
import { type PromptableLoss, promptableLoss } from './promptableLoss.ts';

interface Golden {
  count: number;
  single: boolean;
  parts: Required<PromptableLoss>;
  loss: number;
  logits: number[];
  scores: number[];
  truth: number[];
  weights: number[];
  logitsGradient: number[];
  scoresGradient: number[];
}
const { losses } = fixture<{ losses: Golden[] }>('sam.json');

function built({ count, single }: Pick<Golden, 'count' | 'single'>, parts: PromptableLoss, input = 16) {
  const shapes = { masks: [2, 2, count, 8, 8], scores: [2, 2, count], truth: [2, 2, input, input], weights: [2, 2] };
  return differentiated(shapes, ['masks', 'scores'], (g, { masks, scores, truth, weights }) =>
    promptableLoss(
      g,
      { masks: masks!, scores: scores!, isSingle: single },
      { truth: truth!, weights: weights! },
      parts,
    ),
  );
}

const off = (found: ArrayLike<number | bigint>, expected: readonly number[]): number =>
  Math.max(...expected.map((value, i) => Math.abs(value - Number(found[i]))));

describe('the loss and its gradients are torch’s', () => {
  test.each(losses)('of $count masks, single: $single, $parts', async (golden) => {
    const { count, logits, scores, truth, weights } = golden;
    const graph = built(golden, golden.parts);
    const feeds = {
      masks: float32(logits, [2, 2, count, 8, 8]),
      scores: float32(scores, [2, 2, count]),
      truth: float32(truth, [2, 2, 16, 16]),
      weights: float32(weights, [2, 2]),
    };
    const outputs = Object.values(await runOnce(graph.model, feeds));
    expect(Number(outputs[0]!.data[0])).toBeCloseTo(golden.loss, 5);
    const gradients = await gradientValues(graph, feeds);
    expect(off(gradients['masks']!.data, golden.logitsGradient)).toBeLessThan(1e-5);
    if (golden.parts.iou > 0) expect(off(gradients['scores']!.data, golden.scoresGradient)).toBeLessThan(1e-6);
  });
});

test('SAM’s own weights are the default, and cross-entropy takes the place of focal loss', () => {
  const same = (a: PromptableLoss, b: PromptableLoss): void =>
    expect(built(losses[0]!, a).text).toBe(built(losses[0]!, b).text);
  same({}, { focal: 20, bce: 0, dice: 1, iou: 1 });
  same({ bce: 1 }, { focal: 0, bce: 1, dice: 1, iou: 1 });
});

test('a loss of nothing, and masks that do not fit the image, are refused', () => {
  expect(() => built(losses[0]!, { focal: 0, dice: 0, iou: 0 })).toThrow(OnnxLoraError);
  expect(() => built(losses[0]!, {}, 12)).toThrow(/must be a whole multiple/);
});
