/** @file Intervals of the metrics of images and sounds are those of the measures of sequences, on the same draws. */

import { expect, test } from 'vitest';
import { Random } from '../runtime/random.ts';
import { float32, int64 } from '../runtime/tensor.ts';
import { ClassificationMetrics } from '../tasks/classification/classificationMetrics.ts';
import { MultiLabelMetrics, probability } from '../tasks/classification/multiLabelMetrics.ts';
import { RegressionMetrics } from '../tasks/regression/regressionMetrics.ts';
import { bootstrapIntervals, intervalsOf } from './bootstrap.ts';
import { classMeasure, softmaxRows } from './classMeasure.ts';
import { labelMeasure } from './labelMeasure.ts';
import { numberMeasure } from './numberMeasure.ts';

const random = new Random(7);
const labels = ['a', 'b', 'c', 'd'];
const rows = 60;
const scores = Float32Array.from({ length: rows * labels.length }, () => random.uniform(-2, 2));
const outputs = { logits: float32(scores, [rows, labels.length]) };

/** Without a name that only one of the two has. */
function alike(found: Readonly<Record<string, readonly number[]>>, expected: typeof found, names: readonly string[]) {
  for (const name of names)
    found[name]!.forEach((end, i) => expect([name, end]).toEqual([name, expect.closeTo(expected[name]![i]!, 6)]));
}

test('of classes', () => {
  const truths = Array.from({ length: rows }, () => random.index(labels.length));
  const metrics = new ClassificationMetrics({ output: 'logits', labels, present: [] });
  metrics.update(outputs, { labels: int64(truths, [rows]) });
  const measure = classMeasure({ classes: labels.length, truths, probabilities: softmaxRows(scores, labels.length) });
  const found = intervalsOf(metrics.draws());
  alike(found, bootstrapIntervals(measure, rows), ['accuracy', 'macroF1', 'loss']);
  expect(Object.keys(found)).toEqual(Object.keys(metrics.result()));
});

test('of labels', () => {
  const truths = Array.from(scores, (score) => Number(random.uniform(0, 1) < probability(score)));
  const thresholds = labels.map(() => 0.4);
  const metrics = new MultiLabelMetrics({ output: 'logits', labels, thresholds });
  metrics.update(outputs, { labels: float32(truths, [rows, labels.length]) });
  const measure = labelMeasure({ labels: labels.length, truths, probabilities: Array.from(scores, probability), thresholds }); // prettier-ignore
  const found = intervalsOf(metrics.draws());
  alike(found, bootstrapIntervals(measure, rows), ['mAP', 'microF1', 'macroF1']);
  expect(found['loss']![0]).toBeLessThan(metrics.result().loss);
});

test('of numbers', () => {
  const truths = Array.from({ length: rows }, (_, i) => scores[i]! + random.uniform(0, 1));
  const metrics = new RegressionMetrics('logits', 1);
  metrics.update({ logits: float32(scores.slice(0, rows), [rows, 1]) }, { values: float32(truths, [rows, 1]) });
  const measure = numberMeasure(scores.slice(0, rows), Float32Array.from(truths));
  const found = intervalsOf(metrics.draws());
  alike(found, bootstrapIntervals(measure, rows), ['rmse', 'mae', 'r2', 'spearman']);
  expect(Object.keys(found)).toEqual(Object.keys(metrics.result()));
});
