/** @file Tests of how evaluations are compared. */

import { describe, expect, it } from 'vitest';
import { isLowerBetter } from '../../statistics/metricChoice.ts';
import { Objective, worseMetric } from './objective.ts';

describe('the direction of a metric', () => {
  it.each(['loss', 'val_loss', 'evalLoss', 'wordErrorRate', 'WER', 'cer', 'rmse', 'perplexity', 'mean-absolute-error'])(
    '%s is better lower',
    (name) => expect(isLowerBetter(name)).toBe(true),
  );
  it.each(['accuracy', 'top5', 'macroF1', 'IoU', 'closs', 'f1_per_class', 'bleu', 'terror'])(
    '%s is better higher',
    (name) => expect(isLowerBetter(name)).toBe(false),
  );
});

describe('a metric after training', () => {
  const worse = { name: 'wer', before: 0.2, after: 0.3 };
  it('is worse by its own direction, or by the one that is said', () => {
    expect(worseMetric({ wer: 0.2, f1: 1 }, { wer: 0.3, f1: 1 })).toEqual(worse);
    expect(worseMetric({ wer: 0.3 }, { wer: 0.2 })).toBeUndefined();
    expect(worseMetric({ wer: 0.2 }, { wer: 0.2 })).toBeUndefined();
    expect(worseMetric({ wer: 0.3 }, { wer: 0.2 }, { name: 'wer', better: 'higher' })).toMatchObject({ after: 0.2 });
    expect(worseMetric({ wer: 0.2, f1: 1 }, { wer: 0.1, f1: 0.5 }, { name: 'f1' })).toMatchObject({ name: 'f1' });
  });
  it('is worse where it is no number any more, and cannot be where it was none', () => {
    expect(worseMetric({ wer: 0.2 }, { wer: NaN })).toMatchObject({ after: NaN });
    expect(worseMetric({ wer: NaN }, { wer: 0.2 })).toBeUndefined();
    expect(worseMetric({}, {})).toBeUndefined();
  });
});

describe('an objective', () => {
  it('knows the best, and starts patience again only for what counts', () => {
    const objective = new Objective(undefined, { patience: 2, minDelta: 0.1 });
    const found = [0.5, 0.55, 0.7, 0.75, 0.75].map((accuracy, i) => {
      const isBest = objective.update(i + 1, { accuracy, loss: 9 });
      return [isBest, objective.isOver];
    });
    // 0.55 and 0.75 are better, but not by more than 0.1.
    expect(found).toEqual([
      [true, false],
      [true, false],
      [true, false],
      [true, false],
      [false, true],
    ]);
    expect(objective.state).toEqual({ best: { step: 4, value: 0.75 }, mark: 0.7, withoutBetter: 2 });
    expect(new Objective(undefined, { patience: 2 }, objective.state).isOver).toBe(true);
  });

  it('never takes for best what is no finite number', () => {
    const objective = new Objective({ name: 'loss' });
    expect(objective.update(1, { loss: NaN })).toBe(false);
    expect(objective.update(2, { loss: -Infinity })).toBe(false);
    expect(objective.update(3, { loss: 2 })).toBe(true);
    expect(objective.update(4, { loss: NaN })).toBe(false);
    expect(objective.update(5, { loss: 1 })).toBe(true);
    expect(JSON.parse(JSON.stringify(objective.state))).toEqual(objective.state);
  });
});
