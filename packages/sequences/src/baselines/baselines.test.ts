/** @file Baselines beside scikit-learn's answers, and what is said of LoRA beside them. */

import { readFileSync } from 'node:fs';
import { standardise, standardisationOf } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { describe, expect, it, test } from 'vitest';
import { frozenBaselines, oneHot } from './frozenBaselines.ts';
import { bestNeighbourCount, neighbourAnswers } from './answers.ts';
import { fitRidge, ridgeAnswers } from '@onnx-lora/sdk/tasks';

interface Golden {
  readonly rows: number;
  readonly features: number;
  readonly train: number[];
  readonly other: number[];
  readonly targets: number[];
  readonly first: number[];
  readonly firstTruths: number[];
  readonly classes: number[];
  readonly truths: number[];
  readonly ridge: { alpha: number; answers: number[] };
  readonly ridgeOne: { alpha: number; answers: number[] };
  readonly ridgeClasses: { alpha: number; scores: number[]; answers: number[] };
  readonly neighbours: { k: number; numbers: number[]; probabilities: number[]; leftOut: number }[];
}
const goldens = JSON.parse(readFileSync(new URL('../fixtures/baselines.json', import.meta.url), 'utf8')) as Record<
  'tall' | 'wide',
  Golden
>;

function expectClose(found: ArrayLike<number>, expected: readonly number[], digits = 8): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => expect(found[i], `number ${i}`).toBeCloseTo(value, digits));
}

/** 1 for the class of each example. */
function hot(labels: readonly number[], classes: number, [yes, no]: readonly [number, number]): Matrix {
  return matrix(
    labels.length,
    classes,
    labels.flatMap((label) => Array.from({ length: classes }, (_, c) => (c === label ? yes : no))),
  );
}

describe.each(Object.entries(goldens))('on %s features', (_, golden) => {
  const { rows, features } = golden;
  const train = matrix(rows, features, golden.train);
  const scaling = standardisationOf(train);
  const x = standardise(train, scaling);
  const other = standardise(matrix(golden.other.length / features, features, golden.other), scaling);

  it('ridge is RidgeCV with its penalty', () => {
    const both = fitRidge(x, matrix(rows, 2, golden.targets));
    expect(both.alpha).toBe(golden.ridge.alpha);
    expectClose(ridgeAnswers(both, other).data, golden.ridge.answers);
    const one = fitRidge(x, matrix(rows, 1, golden.first));
    const careful = fitRidge(x, matrix(rows, 1, golden.first), { isCautious: true });
    expect(careful.alpha).toBeGreaterThanOrEqual(one.alpha);
    expect(one.alpha).toBe(golden.ridgeOne.alpha);
    expectClose(ridgeAnswers(one, other).data, golden.ridgeOne.answers);
  });

  it('ridge of classes is RidgeClassifierCV', () => {
    const ridge = fitRidge(x, hot(golden.classes, 3, [1, -1]));
    expect(ridge.alpha).toBe(golden.ridgeClasses.alpha);
    expectClose(ridgeAnswers(ridge, other).data, golden.ridgeClasses.scores);
  });

  test.each(golden.neighbours)('neighbours are those of KNeighbors, k = $k', ({ k, numbers, probabilities }) => {
    expectClose(neighbourAnswers({ features: x, targets: matrix(rows, 2, golden.targets) }, other, k).data, numbers);
    const classes = { features: x, targets: hot(golden.classes, 3, [1, 0]) };
    expectClose(neighbourAnswers(classes, other, k).data, probabilities);
  });

  it('the number of neighbours is the best of those left out', () => {
    const best = golden.neighbours.reduce((a, b) => (b.leftOut < a.leftOut ? b : a));
    const k = bestNeighbourCount({ features: x, targets: matrix(rows, 2, golden.targets) });
    expect(k <= 10 ? k : best.k).toBe(best.k);
  });
});

describe('letters by place', () => {
  it('are features where training sequences differ', () => {
    const { train, validation } = oneHot(['MAG', 'MCG', 'MAT'], ['MCT', 'MWG'])!;
    expect([train.rows, train.columns]).toEqual([3, 4]);
    expect([...train.data]).toEqual([1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1]);
    // W was never seen.
    expect([...validation.data]).toEqual([0, 1, 0, 1, 0, 0, 1, 0]);
  });

  it('are none where lengths differ, or nothing does', () => {
    expect(oneHot(['MA', 'M'], ['MA'])).toBeUndefined();
    expect(oneHot(['MA', 'MC'], ['MAA'])).toBeUndefined();
    expect(oneHot(['MA', 'MA'], ['MC'])).toBeUndefined();
    expect(oneHot([], [])).toBeUndefined();
  });
});

/** Sequences whose number, class and labels are linear in their embeddings, with noise. */
function examples(rows: number, seed: number, noise: number) {
  const random = new Random(seed);
  const embeddings = matrix(rows, 4);
  const numbers: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < 4; j++) embeddings.data[i * 4 + j] = random.normal();
    numbers.push(embeddings.data[i * 4]! - embeddings.data[i * 4 + 1]! + noise * random.normal());
  }
  return { embeddings, numbers, classes: numbers.map((value) => (value > 1 ? 2 : value < -1 ? 0 : 1)) };
}

describe('frozenBaselines', () => {
  const [train, held] = [examples(80, 1, 0.3), examples(60, 2, 0.3)];
  const asNumbers = (adapted: readonly number[]) =>
    frozenBaselines({
      kind: 'numbers',
      train: { embeddings: train.embeddings, targets: train.numbers },
      validation: { embeddings: held.embeddings, targets: held.numbers },
      adapted,
    });

  it('measures numbers, and says that LoRA does not help where it does not', () => {
    const { methods, verdict, sequences } = asNumbers(held.numbers.map((_, i) => Math.sin(i)));
    expect(methods.map(({ method }) => method)).toEqual([
      'mean',
      'k nearest neighbours on frozen embeddings',
      'ridge on frozen embeddings',
      'LoRA',
    ]);
    const [mean, neighbours, ridge] = methods;
    expect(mean!.metrics['spearman']).toBeNaN();
    expect(mean!.metrics['r2']).toBeLessThanOrEqual(0);
    expect(ridge!.metrics['spearman']).toBeGreaterThan(0.95);
    expect(ridge!.metrics['spearman']).toBeGreaterThan(neighbours!.metrics['spearman']!);
    const [low, high] = ridge!.intervals['spearman']!;
    expect(low).toBeLessThan(ridge!.metrics['spearman']!);
    expect(high).toBeGreaterThan(ridge!.metrics['spearman']!);
    expect(verdict!.baseline.name).toBe('ridge on frozen embeddings');
    expect(verdict!.difference).toBeCloseTo(methods[3]!.metrics['spearman']! - ridge!.metrics['spearman']!, 12);
    expect(verdict!.text).toMatch(
      /^spearman .* with LoRA, .* with ridge on frozen embeddings; .*: LoRA is shown to do worse\.$/,
    );
    expect(sequences).toBe(60);
  });

  it('says that LoRA helps where it does, and that nothing is shown where chance would do', () => {
    expect(asNumbers(held.numbers).verdict).toMatchObject({
      outcome: 'helps',
      adapted: expect.closeTo(1, 9) as number,
    });
    const ridge = fitRidge(train.embeddings, matrix(80, 1, train.numbers));
    const nearly = ridgeAnswers(ridge, held.embeddings).data.map((value, i) => value + 0.05 * Math.sin(i));
    expect(asNumbers([...nearly]).verdict!.outcome).toBe('undecided');
  });

  it('says so where both are alike', () => {
    const { verdict, methods } = frozenBaselines({
      kind: 'classes',
      outputs: 2,
      train: { embeddings: train.embeddings, targets: train.classes.map(() => 1) },
      validation: { embeddings: held.embeddings, targets: held.classes.map(() => 1) },
      adapted: held.classes.flatMap(() => [0.1, 0.9]),
    });
    expect(verdict).toMatchObject({ outcome: 'undecided', difference: 0, baseline: { name: 'most frequent class' } });
    expect(methods.map(({ metrics }) => metrics['accuracy'])).toEqual([1, 1, 1, 1]);
  });

  it('measures classes and labels', () => {
    const classes = frozenBaselines({
      kind: 'classes',
      outputs: 3,
      train: { embeddings: train.embeddings, targets: train.classes },
      validation: { embeddings: held.embeddings, targets: held.classes },
      adapted: [...hot(held.classes, 3, [0.9, 0.05]).data],
    });
    expect(classes.methods.map(({ metrics }) => Object.keys(metrics))[0]).toEqual([
      'accuracy',
      'macroF1',
      'mcc',
      'auroc',
    ]);
    const most = [0, 1, 2].reduce((a, b) => (count(train.classes, b) > count(train.classes, a) ? b : a));
    expect(classes.methods[0]!.metrics).toMatchObject({ accuracy: count(held.classes, most) / 60, mcc: 0, auroc: 0.5 });
    expect(classes.methods[3]!.metrics['accuracy']).toBe(1);
    expect(classes.verdict!.outcome).toBe('helps');
    const flags = (of: readonly number[]): number[] => of.flatMap((value) => [+(value > 0), +(value > 1)]);
    const labels = frozenBaselines({
      kind: 'labels',
      outputs: 2,
      thresholds: [0.5, 0.5],
      train: { embeddings: train.embeddings, targets: flags(train.numbers) },
      validation: { embeddings: held.embeddings, targets: flags(held.numbers) },
      adapted: flags(held.numbers),
    });
    const [frequencies, , ridge, lora] = labels.methods;
    expect(frequencies!.metrics['auroc']).toBe(0.5);
    expect(ridge!.metrics['macroF1']).toBeGreaterThan(0.7);
    expect(lora!.metrics).toEqual({ mAP: 1, auroc: 1, macroF1: 1 });
  });

  it('compares variants of one length by their letters too', () => {
    const letters = 'ACDE';
    const random = new Random(3);
    const variants = Array.from({ length: 90 }, () => `M${letters[random.index(4)]}${letters[random.index(4)]}G`);
    const value = (sequence: string): number => letters.indexOf(sequence[1]!) - 2 * letters.indexOf(sequence[2]!);
    const part = (from: number, to: number) => {
      const sequences = variants.slice(from, to);
      // Embeddings that say nothing.
      const noise = Array.from({ length: 3 * sequences.length }, () => random.normal());
      return { embeddings: matrix(sequences.length, 3, noise), targets: sequences.map(value), sequences };
    };
    const [own, other] = [part(0, 60), part(60, 90)];
    const { methods, verdict } = frozenBaselines({ kind: 'numbers', train: own, validation: other, adapted: other.targets.map(() => 1) }); // prettier-ignore
    expect(methods[1]!.method).toBe('ridge on letters by place');
    expect(methods[1]!.metrics['spearman']).toBeGreaterThan(0.99);
    // LoRA that says one thing of all cannot be compared.
    expect(verdict).toMatchObject({ outcome: 'undecided', adapted: Number.NaN });
  });

  it('refuses what does not fit together', () => {
    const part = (of: typeof train) => ({ embeddings: of.embeddings, targets: of.numbers });
    const ask = (change: object) => () =>
      frozenBaselines({
        kind: 'numbers',
        train: part(train),
        validation: part(held),
        adapted: held.numbers,
        ...change,
      });
    expect(ask({ adapted: [1] })).toThrow(/1 answers for 60/);
    expect(ask({ train: { ...part(train), targets: [1] } })).toThrow(/80 training sequences have 1 targets/);
    expect(ask({ train: { embeddings: matrix(1, 4), targets: [1] } })).toThrow(/at least two training/);
    expect(ask({ train: { embeddings: matrix(2, 4, [1, 2, 3, 4, 5, NaN, 7, 8]), targets: [1, 2] } })).toThrow(
      /embedding of training sequence 2 holds NaN/,
    );
    expect(ask({ train: { embeddings: matrix(2, 3), targets: [1, 2] } })).toThrow(/3 wide/);
  });
});

function count(labels: readonly number[], label: number): number {
  return labels.filter((each) => each === label).length;
}
