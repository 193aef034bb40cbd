import { float32 } from '@onnx-lora/sdk';
import { l2Normalize } from '@onnx-lora/sdk/tasks';
import { matrix } from '@onnx-lora/sdk/plugin';
import { describe, expect, test } from 'vitest';
import { fixture } from '../../../../fixtures/goldens.ts';
import { stratifiedFolds, frozenBaselines } from './frozenBaselines.ts';
import { fitLogisticRegression, predictClasses } from './logisticRegression.ts';
import { bestNeighbourCount, nearestClasses } from './frozenBaselines.ts';

interface Probe {
  readonly C: number;
  readonly coef: readonly (readonly number[])[];
  readonly intercept: readonly number[];
  readonly predicted: readonly number[];
}

/** scikit-learn's results for the same numbers. */
const golden = fixture<{
  train: number[];
  labels: number[];
  other: number[];
  truths: number[];
  probes: Probe[];
  twoClasses: Probe;
  neighbours: { k: number; predicted: number[]; leftOut: number }[];
}>('embedding/baselines.json');

const train = matrix(70, 5, golden.train);
const other = matrix(40, 5, golden.other);

describe('the linear probe is that of scikit-learn', () => {
  test.each(golden.probes)('with C = $C', ({ C, coef, intercept, predicted }) => {
    const probe = fitLogisticRegression({ features: train, labels: golden.labels, classes: 3, C });
    coef.flat().forEach((value, i) => expect(probe.weight.data[i]).toBeCloseTo(value, 3));
    // Its intercepts are free by a common number.
    const shift = probe.bias[0]! - intercept[0]!;
    intercept.forEach((value, i) => expect(probe.bias[i]! - shift).toBeCloseTo(value, 3));
    expect(predictClasses(probe, other)).toEqual(predicted);
  });

  test('two classes have weights of their own, and half the C', () => {
    const inside = golden.labels.flatMap((label, i) => (label < 2 ? [i] : []));
    const probe = fitLogisticRegression({
      features: matrix(
        inside.length,
        5,
        inside.flatMap((i) => golden.train.slice(5 * i, 5 * i + 5)),
      ),
      labels: inside.map((i) => golden.labels[i]!),
      classes: 2,
      C: golden.twoClasses.C / 2,
    });
    golden.twoClasses.coef[0]!.forEach((value, i) =>
      expect(probe.weight.data[5 + i]! - probe.weight.data[i]!).toBeCloseTo(value, 3),
    );
    expect(predictClasses(probe, other)).toEqual(golden.twoClasses.predicted);
  });
});

describe('nearest neighbours are those of scikit-learn', () => {
  const near = { features: l2Normalize(train), labels: golden.labels };

  test.each(golden.neighbours)('k = $k', ({ k, predicted }) => {
    expect(nearestClasses(near, l2Normalize(other), k)).toEqual(predicted);
  });

  test('their number is the best of those left out', () => {
    const best = Math.max(...golden.neighbours.map(({ leftOut }) => leftOut));
    expect(bestNeighbourCount(near)).toBe(golden.neighbours.find(({ leftOut }) => leftOut === best)!.k);
  });

  test('an image alone is its own class', () => {
    const one = { features: matrix(1, 2, [1, 0]), labels: [4] };
    expect(bestNeighbourCount(one)).toBe(1);
    expect(nearestClasses(one, matrix(1, 2, [0, 1]), 1)).toEqual([4]);
  });
});

test('folds hold every class in its share', () => {
  const labels = Array.from({ length: 47 }, (_, i) => (i % 7 === 0 ? 1 : 0));
  const folds = stratifiedFolds(labels, 5, 3);
  for (const label of [0, 1]) {
    const all = labels.filter((each) => each === label).length;
    for (let fold = 0; fold < 5; fold++) {
      const members = labels.filter((each, i) => each === label && folds[i] === fold).length;
      expect(Math.abs(members - all / 5)).toBeLessThan(1);
    }
  }
  expect(stratifiedFolds(labels, 5, 3)).toEqual(folds);
  expect(stratifiedFolds(labels, 5, 4)).not.toEqual(folds);
});

describe('frozenBaselines', () => {
  const names = ['c', 'a', 'b'];
  const of = (data: readonly number[], labels: readonly number[]) => ({
    embeddings: float32(data, [labels.length, 5]),
    labels: labels.map((label) => names[label]!),
  });

  test('measures both on images that took no part in choosing anything', () => {
    const found = frozenBaselines({
      train: of(golden.train, golden.labels),
      validation: of(golden.other, golden.truths),
    });
    const { k, accuracy } = found.knn;
    const { predicted } = golden.neighbours.find((each) => each.k === k)!;
    expect(accuracy).toBe(predicted.filter((answer, i) => answer === golden.truths[i]).length / 40);
    expect(found.linearProbe.accuracy).toBeGreaterThan(0.7);
    // Labels of the validation images change what is measured, not what is chosen.
    const shifted = golden.truths.map((label) => (label + 1) % 3);
    const other = frozenBaselines({ train: of(golden.train, golden.labels), validation: of(golden.other, shifted) });
    expect([other.knn.k, other.linearProbe.C]).toEqual([k, found.linearProbe.C]);
    expect(other.knn.accuracy).toBeLessThan(accuracy);
  });

  test('refuses what does not fit together', () => {
    const train = of(golden.train, golden.labels);
    const validation = of(golden.other, golden.truths);
    const wrong = (request: Parameters<typeof frozenBaselines>[0]) => () => frozenBaselines(request);
    expect(wrong({ train: { ...train, labels: ['a'] }, validation })).toThrow(/with 1 labels/);
    expect(wrong({ train: { ...train, labels: train.labels.map(() => 'a') }, validation })).toThrow(/at least two/);
    const narrow = { embeddings: float32([1, 2], [1, 2]), labels: ['a'] };
    expect(wrong({ train, validation: narrow })).toThrow(/5 wide and validation embeddings 2/);
    const broken = float32([1, Number.NaN, 1, 1, 1], [1, 5]);
    expect(wrong({ train, validation: { embeddings: broken, labels: ['a'] } })).toThrow(/image 0 holds NaN/);
  });
});
