/** @file Tests of the report: escaping, the curve's coordinates, the confusion matrix, and that nothing is fetched. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { confusionTable } from './confusion.ts';
import { lossCurve, niceTicks } from './curve.ts';
import { escapeHtml } from './escape.ts';
import { formatReport, type ReportContent } from './html.ts';

const evil = `<script>alert("1")</script>'&`;

const content: ReportContent = {
  model: { name: evil, family: evil, parameters: 1000 },
  settings: { model: evil, data: evil, task: evil, targets: [evil], batchSize: 4, out: evil },
  command: evil,
  steps: [1, 2, 3].map((step) => ({
    step,
    steps: 5,
    loss: 1 / step,
    lr: 0.1,
    gradNorm: 1,
    samplesPerSecond: 1,
    secondsLeft: 1,
  })),
  planned: 5,
  seconds: 83,
  provider: 'cpu',
  trainableParameters: 250,
  modules: [evil],
  before: { metrics: { accuracy: 0.25, [evil]: 1 }, examples: 4, seconds: 1 },
  after: {
    metrics: { accuracy: 0.75, [evil]: 1 },
    examples: 4,
    seconds: 1,
    confusion: {
      labels: [evil, 'b'],
      counts: [
        [1, 1],
        [0, 2],
      ],
    },
  },
  runtime: 'Node 20',
};

describe('the report', () => {
  it('escapes every word that comes from outside', () => {
    const html = formatReport(content);
    expect(html).not.toContain('<script');
    expect(html).not.toContain('alert("1")');
    expect(html.split(escapeHtml(evil)).length - 1).toBeGreaterThan(10);
  });

  it('is one file that fetches nothing', () => {
    const html = formatReport(content);
    expect(html).not.toMatch(/https?:|\bsrc=|\bhref=|url\(|@import/);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain('name="viewport"');
    expect(html).toContain('prefers-color-scheme: dark');
  });

  it('tells before and after, and that it was stopped', () => {
    const html = formatReport(content);
    expect(html).toContain('<td class="number">0.25</td><td class="number">0.75</td><td class="number">+0.5</td>');
    expect(html).toContain('Stopped after 3 of 5 steps.');
    expect(html).toContain('250 (20.00%)');
    expect(html).toContain('1:23');
  });

  it('does without held-out data', () => {
    const { before: _b, after: _a, ...rest } = content;
    const html = formatReport({ ...rest, before: undefined, after: undefined });
    expect(html).toContain('no data was held out');
    expect(html).not.toContain('Confusion');
  });
});

describe('the curve', () => {
  it('draws losses where they belong', () => {
    const svg = lossCurve([
      { step: 1, loss: 4 },
      { step: 2, loss: 2 },
      { step: 3, loss: 0 },
    ]);
    // 560 wide: 52 left, 20 right; 260 high: 12 above, 36 below; the axis goes from 0 to 4.
    expect(svg).toContain('<path class="raw" d="M52.0 12.0L296.0 118.0L540.0 224.0"/>');
  });

  it('keeps spikes when it has to leave points out', () => {
    const points = Array.from({ length: 10_000 }, (_, i) => ({ step: i + 1, loss: i === 5000 ? 9 : 1 }));
    const raw = /class="raw" d="([^"]*)"/.exec(lossCurve(points))![1]!;
    expect(raw.split('L').length).toBeLessThanOrEqual(401);
    // 9 of 10 on the axis.
    expect(raw).toMatch(/ 33\.2L/);
  });

  it('says so where there is nothing to draw', () => {
    expect(lossCurve([{ step: 1, loss: 1 }])).toContain('Too few steps');
    expect(
      lossCurve([
        { step: 1, loss: NaN },
        { step: 2, loss: 1 },
      ]),
    ).toContain('Too few steps');
  });

  it('has finite coordinates for any losses', () => {
    const losses = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }), {
      minLength: 2,
      maxLength: 50,
    });
    fc.assert(
      fc.property(losses, (values) => {
        expect(lossCurve(values.map((loss, i) => ({ step: i + 1, loss })))).not.toMatch(/NaN|Infinity|undefined/);
      }),
    );
  });

  it('has round ticks', () => {
    expect(niceTicks(0, 5.13, 5)).toEqual([0, 2, 4, 6]);
    expect(niceTicks(0, 0.043, 5)).toEqual([0, 0.01, 0.02, 0.03, 0.04, 0.05]);
    expect(niceTicks(2, 2, 5).length).toBeGreaterThanOrEqual(2);
    expect(niceTicks(0, Number.MIN_VALUE, 5).every(Number.isFinite)).toBe(true);
  });
});

describe('the confusion matrix', () => {
  it('has a row per true class, its share in colour, and recall', () => {
    const html = confusionTable({
      labels: ['cat', 'dog'],
      counts: [
        [3, 1],
        [0, 0],
      ],
    });
    expect(html).toContain(
      '<tr><th scope="row">cat</th><td class="hit" style="--share:0.750">3</td><td class="miss" style="--share:0.250">1</td><td class="recall">75%</td></tr>',
    );
    expect(html).toContain('<td class="recall">–</td>');
  });

  it('lists the worst mix-ups of many classes', () => {
    const labels = Array.from({ length: 30 }, (_, i) => `c${i}`);
    const counts = labels.map((_, i) => labels.map((__, j) => (i === j ? 5 : i === 3 && j === 7 ? 4 : 0)));
    expect(confusionTable({ labels, counts })).toContain('<tr><td>c3</td><td>c7</td><td class="number">4</td></tr>');
    expect(
      confusionTable({ labels, counts: labels.map((_, i) => labels.map((__, j) => (i === j ? 1 : 0))) }),
    ).toContain('All 30 classes are told apart');
  });
});
