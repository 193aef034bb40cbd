/** @file Metrics and calibration beside scikit-learn's and scipy's numbers. */

import { float32, int64 } from '@onnx-lora/sdk';
import {
  averagePrecisions,
  bestThresholds,
  calibrationError,
  ClassificationMetrics,
  f1,
  fitTemperature,
  labelCounts,
  MultiLabelMetrics,
  RegressionMetrics,
  reliability,
} from '@onnx-lora/sdk/tasks';
import { describe, expect, test } from 'vitest';
import { fixture } from '../../../fixtures/goldens.ts';

interface Goldens {
  readonly classes: Record<
    'accuracy' | 'top5' | 'macroF1' | 'loss' | 'temperature' | 'ece' | 'eceCalibrated',
    number
  > & {
    readonly truths: number[];
    readonly scores: number[];
    readonly classes: number;
    readonly confusion: number[][];
  };
  readonly labels: Record<'mAP' | 'microF1' | 'macroF1' | 'loss' | 'labels', number> &
    Record<'truths' | 'scores' | 'averagePrecisions' | 'bestF1', number[]>;
  readonly numbers: Record<'truths' | 'predicted' | 'rmse' | 'mae' | 'r2' | 'spearman', number[]> & {
    readonly outputs: number;
  };
}
const goldens = fixture<Goldens>('metrics.json');

describe('classes', () => {
  const { truths, scores, classes, confusion, temperature, ece, eceCalibrated, ...expected } = goldens.classes;
  const names = Array.from({ length: classes }, (_, i) => `c${i}`);

  test('are measured as scikit-learn does, in two batches', () => {
    const metrics = new ClassificationMetrics({ output: 'y', labels: names, present: [0, 1, 2, 3, 4, 5, 6] });
    for (const [from, to] of [
      [0, 25],
      [25, truths.length],
    ] as const)
      // prettier-ignore
      metrics.update(
        { y: float32(scores.slice(from * classes, to * classes), [to - from, classes]) },
        { labels: int64(truths.slice(from, to), [to - from]) },
      );
    const found = metrics.result();
    for (const [name, value] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(value, 6);
    expect(metrics.confusion().counts).toEqual(confusion);
  });

  test('are calibrated by the temperature that scipy finds', () => {
    const all = { rows: truths.length, classes, data: Float32Array.from(scores), truths };
    const found = fitTemperature(all);
    expect(found).toBeCloseTo(temperature, 4);
    expect(calibrationError(reliability(all))).toBeCloseTo(ece, 5);
    expect(calibrationError(reliability(all, temperature))).toBeCloseTo(eceCalibrated, 5);
    const scaled = new ClassificationMetrics({ output: 'y', labels: names, present: [], temperature: found });
    scaled.update({ y: float32(scores, [truths.length, classes]) }, { labels: int64(truths, [truths.length]) });
    expect(scaled.result()['loss']).toBeLessThan(expected.loss);
    expect(scaled.result()['accuracy']).toBeCloseTo(expected.accuracy, 12);
  });

  test('that are all right, or say nothing, have a temperature that is still a number', () => {
    const one = (data: number[], label: number) => ({
      rows: 1,
      classes: 2,
      data: Float32Array.from(data),
      truths: [label],
    });
    expect(fitTemperature(one([4, 0], 0))).toBeCloseTo(0.1, 6);
    expect(fitTemperature(one([4, 0], 1))).toBeCloseTo(10, 6);
  });
});

describe('labels', () => {
  const { labels: count, truths, scores, averagePrecisions: precisions, bestF1, ...expected } = goldens.labels;
  const names = Array.from({ length: count }, (_, i) => `l${i}`);
  const all = { labels: count, scores, truths: truths.map((each) => each === 1) };

  test('are measured as scikit-learn does', () => {
    const metrics = new MultiLabelMetrics({ output: 'y', labels: names, thresholds: names.map(() => 0.5) });
    const dims = [scores.length / count, count];
    metrics.update({ y: float32(scores, dims) }, { labels: float32(truths, dims) });
    const found = metrics.result();
    for (const [name, value] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(value, 6);
    precisions.forEach((value, i) => expect(averagePrecisions(all)[i]).toBeCloseTo(value, 10));
    expect(averagePrecisions(all)[count - 1]).toBeNaN();
  });

  test('have thresholds of the best F1 that there is', () => {
    const thresholds = bestThresholds(all);
    bestF1.forEach((value, i) => expect(f1(labelCounts(all, thresholds)[i]!)).toBeCloseTo(value, 10));
    expect(thresholds[count - 1]).toBe(0.5);
  });
});

test('numbers are measured as scikit-learn and scipy do', () => {
  const { outputs, truths, predicted, ...expected } = goldens.numbers;
  const metrics = new RegressionMetrics('y', outputs);
  const dims = [truths.length / outputs, outputs];
  metrics.update({ y: float32(predicted, dims) }, { values: float32(truths, dims) });
  const each = metrics.perOutput();
  for (const name of ['rmse', 'mae', 'r2', 'spearman'] as const) {
    expected[name].forEach((value, i) => expect(each[i]![name], name).toBeCloseTo(value, 4));
    expect(metrics.result()[name]).toBeCloseTo((expected[name][0]! + expected[name][1]!) / 2, 4);
  }
  const same = new RegressionMetrics('y', 1);
  same.update({ y: float32([1, 1], [2, 1]) }, { values: float32([3, 3], [2, 1]) });
  expect(same.result()).toMatchObject({ rmse: 2, mae: 2, r2: Number.NaN, spearman: Number.NaN });
});
