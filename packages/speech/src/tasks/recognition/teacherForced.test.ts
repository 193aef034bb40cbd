/** @file Loss and accuracy of single tokens. */

import { float32, int64 } from '@onnx-lora/sdk';
import { expect, test } from 'vitest';
import { TeacherForcedMetrics } from './recognitionBatch.ts';

const ln = Math.log;

test('are over all tokens that count, of all batches', () => {
  const metrics = new TeacherForcedMetrics('logits');
  // Scores whose softmax is 1/2, 1/4, 1/4, and 1/8, 1/8, 3/4.
  const logits = float32([ln(2), 0, 0, 0, 0, ln(6)], [1, 2, 3]);
  metrics.update({ logits }, { labels: int64([0, 2], [1, 2]) });
  metrics.update({ logits }, { labels: int64([1, -100], [1, 2]) });
  const { loss, tokenAccuracy } = metrics.result();
  expect(loss).toBeCloseTo((ln(2) + ln(4 / 3) + ln(4)) / 3, 6);
  expect(tokenAccuracy).toBeCloseTo(2 / 3, 6);
});

test('large scores do not overflow', () => {
  const metrics = new TeacherForcedMetrics('logits');
  metrics.update({ logits: float32([1000, 0], [1, 1, 2]) }, { labels: int64([1], [1, 1]) });
  expect(metrics.result()['loss']).toBeCloseTo(1000, 3);
});

test('an output of another length is refused', () => {
  const metrics = new TeacherForcedMetrics('logits');
  const logits = float32([0, 0], [1, 1, 2]);
  expect(() => metrics.update({ logits }, { labels: int64([1, 1], [1, 2]) })).toThrow(/scores for each label/);
});
