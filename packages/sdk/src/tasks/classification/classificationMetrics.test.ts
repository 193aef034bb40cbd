import { float32, int64 } from '../../runtime/tensor.ts';
import { describe, expect, test } from 'vitest';
import { decodeClasses } from '../decodeAnswers.ts';
import { ClassificationMetrics } from './classificationMetrics.ts';
import { bestClasses } from './scores.ts';

const three = { output: 'logits', labels: ['a', 'b', 'c'], present: [0, 1, 2] };

function batch(rows: number[][], labels: number[]) {
  const logits = float32(rows.flat(), [rows.length, rows[0]!.length]);
  return [{ logits }, { labels: int64(labels, [labels.length]) }] as const;
}

describe('ClassificationMetrics', () => {
  test('gives the numbers worked out by hand, over several batches', () => {
    const metrics = new ClassificationMetrics(three);
    // Answers: a, a, b, then c; truths: a, b, b, a.
    metrics.update(...batch([[2, 0, 0], [1, 0, 0], [0, 1, 0]], [0, 1, 1])); // prettier-ignore
    metrics.update(...batch([[0, 0, Math.log(2)]], [0]));
    const { accuracy, macroF1, loss, ...others } = metrics.result();
    expect(others).toEqual({});
    expect(Object.keys(metrics.result())[0]).toBe('accuracy');
    expect(accuracy).toBe(2 / 4);
    // F1: a has tp 1, fp 1, fn 1; b has tp 1, fp 0, fn 1; c has tp 0, fp 1.
    expect(macroF1).toBeCloseTo((2 / 4 + 2 / 3 + 0) / 3, 12);
    const e = Math.E;
    const byHand = Math.log((e ** 2 + 2) / e ** 2) + Math.log(e + 2) + Math.log((e + 2) / e) + Math.log(4);
    expect(loss).toBeCloseTo(byHand / 4, 6);
    expect(metrics.confusion()).toEqual({
      labels: ['a', 'b', 'c'],
      counts: [
        [1, 0, 1],
        [1, 1, 0],
        [0, 0, 0],
      ],
    });
  });

  test('counts the best five where there are more than five classes', () => {
    const labels = ['0', '1', '2', '3', '4', '5'];
    const metrics = new ClassificationMetrics({ output: 'logits', labels, present: [] });
    metrics.update(...batch([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]], [0, 4, 5])); // prettier-ignore
    expect(metrics.result()).toMatchObject({ accuracy: 1 / 3, top5: 2 / 3 });
  });

  test('shows in the confusion matrix only classes of the data and those predicted', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => `c${i}`);
    const metrics = new ClassificationMetrics({ output: 'logits', labels, present: [7, 3] });
    metrics.update(...batch([labels.map((_, i) => (i === 500 ? 1 : 0))], [7]));
    expect(metrics.confusion()).toEqual({
      labels: ['c3', 'c7', 'c500'],
      counts: [
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
      ],
    });
  });

  test('does not overflow', () => {
    const metrics = new ClassificationMetrics(three);
    metrics.update(...batch([[1000, 0, -1000]], [1]));
    expect(metrics.result()['loss']).toBeCloseTo(1000, 6);
  });

  test('refuses scores that are no numbers, and outputs that do not fit', () => {
    const metrics = new ClassificationMetrics(three);
    expect(() =>
      metrics.update(
        ...batch(
          [
            [0, 1, 2],
            [0, Number.NaN, 0],
          ],
          [1, 1],
        ),
      ),
    ).toThrowError(
      // prettier-ignore
      expect.objectContaining({ code: 'LOSS_NOT_FINITE', message: expect.stringContaining('score NaN in row 1') }),
    );
    expect(() => metrics.update(...batch([[0, 1]], [1]))).toThrow(/float32 \[batch, 3\].*float32 \[1, 2\]/);
    expect(() => metrics.update({}, {})).toThrow(/gave nothing/);
    expect(() => metrics.update(batch([[0, 1, 2]], [1])[0], {})).toThrow(/"labels" as int64 \[1\]/);
  });
});

test('decodeClasses gives probabilities, best first', () => {
  const logits = float32([0, Math.log(3), 0, 5, 5, 5], [2, 3]);
  const [first, second] = decodeClasses({ logits }, 'logits', ['a', 'b', 'c']);
  expect(first!.label).toBe('b');
  expect(first!.score).toBeCloseTo(0.6, 6);
  expect(first!.top.map(({ label }) => label)).toEqual(['b', 'a', 'c']);
  expect(second).toMatchObject({ label: 'a', score: expect.closeTo(1 / 3, 6) });
});

test('bestClasses agrees with sorting', () => {
  const row = Float32Array.from({ length: 50 }, (_, i) => (i * 7919) % 23);
  const sorted = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
  for (const count of [1, 5, 50, 60]) expect(bestClasses(row, count)).toEqual(sorted.slice(0, count));
});
