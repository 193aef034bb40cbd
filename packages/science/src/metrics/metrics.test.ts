/** @file The SDK's statistics beside scikit-learn's and SciPy's numbers on predictions about sequences. */

import { readFileSync } from 'node:fs';
import {
  bootstrapInterval,
  bootstrapIntervals,
  type ClassAnswers,
  classMeasure,
  drawsFor,
  kendall,
  labelMeasure,
  type Measure,
  numberMeasure,
  precisionRecallCurve,
  rankingMeasure,
  rocCurve,
  softmaxRows,
  spearman,
} from '@onnx-lora/sdk/tasks';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';

type Numbers = Readonly<Record<string, number>>;
type Case =
  | (Numbers & { kind: 'classification'; classes: number; labels: number[]; logits: number[][] })
  | (Numbers & { kind: 'regression'; labels: number[]; predictions: number[] })
  | (Numbers & { kind: 'scores'; labels: number[]; scores: number[] })
  | (Numbers & { kind: 'edge'; labels: number[]; predictions: number[] });
type Drawn = { times: number[]; truths: number[]; expected: Numbers } & (
  | { kind: 'classes'; classes: number; scores: number[] }
  | { kind: 'numbers'; predicted: number[] }
  | { kind: 'labels'; labels: number; probabilities: number[]; thresholds: number[] }
);
const goldens = JSON.parse(readFileSync(new URL('../fixtures/metrics.json', import.meta.url), 'utf8')) as {
  cases: Case[];
  drawn: Drawn[];
  curves: { scores: number[]; truths: number[]; roc: [number, number][]; pr: [number, number][] };
  bootstrap: { truths: number[]; predicted: number[]; intervals: Record<'spearman' | 'rmse' | 'r2', [number, number]> };
};

/** The names of the goldens, and ours. */
const names: Readonly<Record<string, string>> = {
  f1_macro: 'macroF1',
  f1_weighted: 'weightedF1',
  f1_micro: 'accuracy',
  precision_macro: 'macroPrecision',
  recall_macro: 'macroRecall',
  balanced_accuracy: 'balancedAccuracy',
  log_loss: 'loss',
};

/** Checks every number of a golden that is a metric; says how many. */
function compare(golden: object, found: Numbers, digits: number): number {
  const expected = Object.entries(golden).filter(
    ([name, value]) => typeof value === 'number' && name !== 'classes' && name !== 'labels',
  );
  for (const [name, value] of expected) expect(found[names[name] ?? name], name).toBeCloseTo(value as number, digits);
  return expected.length;
}

/** Certain answers. */
function certain(truths: readonly number[], answers: readonly number[]): ClassAnswers {
  const classes = Math.max(...truths, ...answers) + 1;
  return {
    classes,
    truths,
    probabilities: answers.flatMap((c) => Array.from({ length: classes }, (_, i) => +(i === c))),
  };
}

function measureOf(drawn: Drawn): Measure {
  if (drawn.kind === 'classes')
    return classMeasure({ ...drawn, probabilities: softmaxRows(drawn.scores, drawn.classes) });
  return drawn.kind === 'numbers' ? numberMeasure(drawn.predicted, drawn.truths) : labelMeasure(drawn);
}

describe('metrics are those of scikit-learn and SciPy', () => {
  test.each(goldens.cases.map((each, i) => [i, each.kind, each] as const))('case %i, %s', (_, kind, golden) => {
    if (golden.kind === 'classification') {
      const { classes, labels: truths, logits, average_precision, ...rest } = golden;
      const probabilities = softmaxRows(logits.flat(), classes);
      const found = classMeasure({ classes, truths, probabilities })();
      // The logits of the goldens are rounded.
      expect(compare({ ...rest, kind }, found, 5)).toBe(10);
      if (average_precision !== null) expect(found.auprc).toBeCloseTo(average_precision!, 5);
    } else if (golden.kind === 'regression') {
      const { labels, predictions, ...rest } = golden;
      const { rmse, ...others } = numberMeasure(predictions, labels)();
      const found = { ...others, rmse, mse: rmse ** 2, kendall: kendall(predictions, labels) };
      expect(compare(rest, found, 9)).toBe(7);
      expect(spearman(predictions, labels)).toBeCloseTo(golden['spearman']!, 12);
    } else if (golden.kind === 'scores') {
      const { auroc, averagePrecision } = rankingMeasure(golden.scores, golden.labels)();
      expect(compare(golden, { auroc, average_precision: averagePrecision }, 12)).toBe(2);
    } else expect(compare(golden, classMeasure(certain(golden.labels, golden.predictions))(), 12)).toBe(3);
  });

  test.each(goldens.drawn.map((each) => [each.kind, each] as const))('of %s drawn with replacement', (_, drawn) => {
    const found = measureOf(drawn)(drawn.times);
    expect(Object.keys(found).sort()).toEqual(Object.keys(drawn.expected).sort());
    compare(drawn.expected, found, 10);
  });

  it('draws their curves', () => {
    const { scores, truths, roc, pr } = goldens.curves;
    const near = (found: readonly (readonly [number, number])[], expected: readonly [number, number][]): void => {
      expect(found).toHaveLength(expected.length);
      found.forEach(([x, y], i) => {
        expect(x).toBeCloseTo(expected[i]![0], 12);
        expect(y).toBeCloseTo(expected[i]![1], 12);
      });
    };
    near(rocCurve(scores, truths), roc);
    near(precisionRecallCurve(scores, truths), pr);
  });
});

it('a metric of examples that count several times is that of the examples written out', () => {
  const some = fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: 0, max: 2 }), fc.nat(3)), {
    minLength: 1,
    maxLength: 25,
  });
  fc.assert(
    fc.property(some, (examples) => {
      const times = examples.map(([, , count]) => count);
      const written = examples.flatMap((each) => Array.from({ length: each[2] }, () => each));
      fc.pre(written.length > 0);
      const both = (of: (from: typeof examples) => Measure): void => {
        const [weighted, plain] = [of(examples)(times), of(written)()];
        for (const [name, value] of Object.entries(plain)) {
          if (Number.isNaN(value)) expect(weighted[name], name).toBeNaN();
          else expect(weighted[name], name).toBeCloseTo(value, 9);
        }
      };
      const scores = (from: typeof examples): number[] => from.map(([score]) => score);
      const truths = (from: typeof examples): number[] => from.map(([, truth]) => truth);
      both((from) => numberMeasure(scores(from), truths(from)));
      both((from) =>
        rankingMeasure(
          scores(from),
          truths(from).map((truth) => truth > 1),
        ),
      );
      both((from) => classMeasure({ classes: 3, truths: truths(from), probabilities: softmaxRows(from.flatMap(([score]) => [score, 0.5, 1 - score]), 3) })); // prettier-ignore
      both((from) => labelMeasure({ labels: 2, truths: from.flatMap(([, truth]) => [truth > 0, truth > 1]), probabilities: from.flatMap(([score]) => [score / 6 + 0.5, 0.5 - score / 6]), thresholds: [0.5, 0.6] })); // prettier-ignore
    }),
  );
});

it('what is not defined is not a number', () => {
  expect(numberMeasure([1, 1], [3, 3])()).toEqual({ spearman: NaN, pearson: NaN, rmse: 2, mae: 2, r2: NaN });
  expect(numberMeasure([0.1, 0.1, 0.1], [1, 2, 3])().pearson).toBeNaN();
  expect(rankingMeasure([1, 2], [1, 1])()).toEqual({ auroc: NaN, averagePrecision: 1 });
  expect(rankingMeasure([1, 2], [0, 0])()).toEqual({ auroc: NaN, averagePrecision: NaN });
  expect(kendall([1, 1], [1, 2])).toBeNaN();
  // A wrong answer that is certain costs endlessly much, where it is drawn.
  const wrong = classMeasure(certain([0, 1], [0, 0]));
  expect(wrong().loss).toBe(Infinity);
  expect(wrong([2, 0]).loss).toBeCloseTo(0, 12);
});

describe('the bootstrap', () => {
  const { truths, predicted, intervals } = goldens.bootstrap;
  const measure = numberMeasure(predicted, truths);

  it("finds SciPy's percentile intervals", () => {
    const found = bootstrapIntervals(measure, truths.length, { samples: 20_000, seed: 3 });
    for (const [name, expected] of Object.entries(intervals)) {
      const width = expected[1] - expected[0];
      // Two independent sets of 20,000 draws: their ends differ by about a hundredth of the width.
      found[name]!.forEach((end, i) => expect(Math.abs(end - expected[i]!) / width, name).toBeLessThan(0.04));
    }
    expect(Object.keys(found)).toEqual(['spearman', 'pearson', 'rmse', 'mae', 'r2']);
  });

  it('finds the same again with the same seed, and wider ones with a higher level', () => {
    const one = (seed: number, level = 0.95): readonly [number, number] =>
      bootstrapInterval((times) => measure(times).rmse, truths.length, { seed, level });
    expect(one(1)).toEqual(one(1));
    expect(one(1)).not.toEqual(one(2));
    const [narrow, wide] = [one(1, 0.5), one(1, 0.99)];
    expect(wide[0]).toBeLessThan(narrow[0]);
    expect(wide[1]).toBeGreaterThan(narrow[1]);
  });

  it('draws groups whole', () => {
    // 20 proteins of 30 residues each: all residues of one are alike, so that there are 20 pieces of evidence, not 600.
    const groups = Array.from({ length: 600 }, (_, i) => Math.floor(i / 30));
    const right = groups.map((group) => (group % 4 === 0 ? 0 : 1));
    const share = (times: Uint32Array): number => {
      const all = times.reduce((sum, count) => sum + count, 0);
      return right.reduce<number>((sum, each, i) => sum + each * times[i]!, 0) / all;
    };
    const width = ([low, high]: readonly [number, number]): number => high - low;
    const [grouped, alone] = [width(bootstrapInterval(share, 600, { groups })), width(bootstrapInterval(share, 600))];
    // √(¾ · ¼ ÷ 20) and ÷ 600, times 2 · 1.96.
    expect(grouped).toBeGreaterThan(0.3);
    expect(grouped).toBeLessThan(0.45);
    expect(alone).toBeLessThan(0.08);
  });

  it('makes fewer draws of large tables', () => {
    expect([100, 1e6, 2e6, 1e9].map(drawsFor)).toEqual([1000, 1000, 500, 200]);
  });

  it('gives no interval where there is none', () => {
    expect(bootstrapIntervals(numberMeasure([1], [2]), 1)).toEqual({});
    // One true among ten is missing in a third of the draws.
    const rare = rankingMeasure([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(bootstrapIntervals(rare, 10)).toEqual({});
    expect(bootstrapInterval((times) => rare(times).auroc, 10)).toEqual([NaN, NaN]);
    // Two of each are there nearly always.
    const fine = rankingMeasure([0, 1, 2, 3, 4, 5], [0, 0, 1, 0, 1, 1]);
    expect(Object.keys(bootstrapIntervals(fine, 6))).toEqual(['auroc', 'averagePrecision']);
  });
});
