/** @file Tests of the report: escaping, the curve's coordinates, the confusion matrix, and that nothing is fetched. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { confusionTable } from './confusion.ts';
import { RunHistory, Series } from '../run/history.ts';
import { measuredCurve, stepCurve } from './curve.ts';
import { niceTicks } from './plot.ts';
import { escapeHtml } from './page.ts';
import { formatReport, type ReportContent } from './html.ts';

const evil = `<script>alert("1")</script>'&`;

/** Three steps, three measurements, and all that can go wrong. */
function historyOf(): RunHistory {
  const history = new RunHistory();
  for (const step of [1, 2, 3]) {
    history.add({
      type: 'step',
      step,
      steps: 5,
      epoch: step,
      loss: 1 / step,
      lr: 0.1,
      gradNorm: 1,
      samplesPerSecond: 1,
      secondsLeft: 1,
      memory: 300 * 2 ** 20,
    });
    history.add({ type: 'evaluation', step, examples: 4, metrics: { accuracy: step / 4, [evil]: step } });
  }
  history.add({ type: 'skipped', step: 4, message: evil, examples: [1], inARow: 1 });
  history.add({ type: 'badSample', step: 4, message: evil, example: 1, count: 1 });
  return history;
}

const content: ReportContent = {
  model: { name: evil, family: evil, parameters: 1000 },
  settings: { model: evil, data: evil, task: evil, targets: [evil], batchSize: 4, out: evil },
  command: evil,
  history: historyOf(),
  made: 3,
  endedBy: 'stop',
  planned: 5,
  seconds: 83,
  provider: 'cpu',
  trainableParameters: 250,
  modules: [evil],
  before: { step: 0, metrics: { accuracy: 0.25, [evil]: 1 }, examples: 4 },
  after: {
    step: 3,
    metrics: { accuracy: 0.75, [evil]: 1 },
    examples: 4,
    confusion: {
      labels: [evil, 'b'],
      counts: [
        [1, 1],
        [0, 2],
      ],
    },
  },
  sections: [
    {
      kind: 'gallery',
      title: evil,
      text: evil,
      pictures: [
        { image: Uint8Array.from([0x89, 0x50]), alt: evil, caption: evil },
        { image: Uint8Array.from([0xff, 0xd8]), alt: evil, caption: evil },
      ],
    },
    {
      kind: 'clips',
      title: 'Worst',
      clips: [
        {
          title: evil,
          audio: Uint8Array.from([0x52, 0x49]),
          lines: [
            { label: evil, pieces: [{ text: evil }, { text: evil, mark: 'wrong' }, { text: 'b', mark: 'extra' }] },
            { label: 'base', pieces: [] },
          ],
        },
        { title: 'silent', lines: [] },
      ],
    },
    {
      kind: 'clips',
      title: 'Entities',
      clips: [
        { title: 'a', lines: [{ label: 'found', pieces: [{ text: 'in' }, { text: 'Paris', label: 'PER', mark: 'wrong' }, { text: evil, label: evil }] }] }, // prettier-ignore
      ],
      marks: { wrong: `of another class ${evil}` },
    },
    { kind: 'table', title: 'Baselines', columns: [evil, 'top-1'], rows: [[evil, 0.25]] },
    {
      kind: 'scatter',
      title: 'Embeddings',
      x: evil,
      y: evil,
      series: [
        {
          name: evil,
          points: [
            [0, 0],
            [NaN, 1],
          ],
        },
        { name: 'b', points: [[10, 5]] },
      ],
    },
    { kind: 'lines', title: 'Nothing', x: 'x', y: 'y', series: [] },
    { kind: 'histogram', title: evil, x: evil, borders: [-1, 0, 1], counts: [1, 3] },
    { kind: 'heatmap', title: evil, x: evil, y: evil, rows: [evil], columns: [evil, evil], values: [[1, null]], marked: [[0, 0]] }, // prettier-ignore
    { kind: 'letters', title: evil, rows: [{ title: evil, text: evil, values: [0.5], below: [{ label: evil, text: evil }, { label: evil, text: 'x' }] }] }, // prettier-ignore
    { kind: 'logo', title: evil, x: evil, y: evil, columns: [{ label: evil, letters: [{ letter: '<', height: 1 }] }] },
  ],
  date: new Date(Date.UTC(2026, 10, 29, 14, 3)),
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
    expect(html.replaceAll(/src="data:(?:image|audio)\//g, '')).not.toMatch(/https?:|\bsrc=|\bhref=|url\(|@import/);
    expect(html).toContain("default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:");
    expect(html).toContain('name="viewport"');
    expect(html).toContain('prefers-color-scheme: dark');
  });

  it('tells before and after, and that it was stopped', () => {
    const html = formatReport(content);
    expect(html).toContain('<td class="number">0.25</td><td class="number">0.75</td><td class="number">+0.5</td>');
    expect(html).toContain('Stopped after 3 of 5 steps.');
    expect(html).toContain('250 (20.00%)');
    expect(html).toContain('1:23');
    expect(html).toContain('2026-11-29 14:03 UTC');
  });

  it('has the verdict first; that of a diverged run is its losses, whatever was measured', () => {
    const verdict: NonNullable<ReportContent['verdict']> = {
      metric: 'accuracy',
      outcome: 'helps',
      adapted: 0.75,
      baseline: { name: 'the base', value: 0.25 },
      difference: 0.5,
      interval: [0.25, 0.75],
      text: 'LoRA is better.',
    };
    expect(formatReport({ ...content, verdict })).toContain(
      '<dl class="facts">\n<div class="verdict helps"><dt>verdict</dt><dd>LoRA is shown to help</dd><dd class="why">LoRA is better.</dd></div>',
    );
    const html = formatReport({ ...content, verdict, diverged: { step: 3, start: 0.5, loss: 12.34567 } });
    expect(html).toContain(
      '<div class="verdict harms"><dt>verdict</dt><dd>The run has diverged</dd><dd class="why">At step 3 the loss was 12.35, and it began at 0.5.</dd></div>',
    );
    expect(html).not.toContain('LoRA is');
    expect(formatReport({ ...content, diverged: { step: 3, start: 0.5, loss: NaN } })).toContain(
      'At step 3 the loss was no finite number',
    );
  });

  it('breaks the lines of its command between words, not within a flag', () => {
    expect(formatReport({ ...content, command: 'onnx-lora train model --data a & b --lr 1e-3' })).toContain(
      '<pre><span class="whole">onnx-lora train model</span> <span class="whole">--data a &amp; b</span> <span class="whole">--lr 1e-3</span></pre>',
    );
  });

  it('shows what was measured, and what went wrong', () => {
    const html = formatReport(content);
    expect(html).toContain('<h2>accuracy on held-out data</h2>');
    expect(html.split('<circle').length - 1).toBe(6 + 2);
    expect(html).toContain('<p>steps skipped: 1; examples left out: 1</p>');
    expect(html).toContain('aria-label="Memory in MB from 300 to 300 over steps 1 to 3."');
    expect(formatReport({ ...content, history: new RunHistory() })).not.toContain('What went wrong');
    expect(formatReport({ ...content, endedBy: 'earlyStopping' })).toContain('ended early after 3 of 5 steps.');
    expect(formatReport({ ...content, endedBy: 'steps' })).not.toContain('class="notice"');
  });

  it('shows what the task brings', () => {
    const html = formatReport(content);
    expect(html).toContain('<img src="data:image/png;base64,iVA="');
    expect(html).toContain('<img src="data:image/jpeg;base64,/9g="');
    expect(html).toContain('<th scope="col" class="number">top-1</th>');
    expect(html.split('src="data:audio/wav;base64,Ukk="')).toHaveLength(2);
    // Marks are words too, for those who do not see them; those that do not occur are not explained.
    expect(html).toContain('<mark class="extra"><span class="unseen">extra: </span>b</mark>');
    expect(html).toContain(
      '<li><mark class="wrong">wrong</mark> another word in its place</li><li><mark class="extra">',
    );
    expect(html).not.toContain('<mark class="missing">');
    expect(html).toContain('<dd><span class="quiet">(nothing)</span></dd>');
    // A colour per label, in their order, and the label itself.
    expect(html).toContain(
      '<dd>in <mark class="named" style="--own: var(--s1)"><mark class="wrong"><span class="unseen">wrong: </span>Paris</mark>&nbsp;<small>PER</small></mark> <mark class="named" style="--own: var(--s0)">',
    );
    expect(html).toContain('<li><mark class="wrong">wrong</mark> of another class');
    // 560 x 340 with margins 64 + 20 and 12 + 40; axes from 0 to 10 and 0 to 5.
    expect(html).toContain('<g class="s1"><circle cx="540.0" cy="12.0" r="3"><title>b: 10, 5</title></circle></g>');
    expect(html).toContain('<circle cx="64.0" cy="300.0" r="3"><title>');
    expect(html).toContain('Nothing to draw.');
  });

  it('says what answers before training where the model has no head of its own', () => {
    const of = (head: object): string => formatReport({ ...content, before: { ...content.before!, ...head } });
    expect(of({ probedHead: true })).toContain(
      '<p class="quiet">Before: the frozen model, with a new head that a ridge',
    );
    expect(of({ untrainedHead: true })).toContain('<p class="quiet">Before: the model with an untrained head');
    expect(of({})).not.toContain('Before:');
    expect(of({ probedHead: true, intervals: { accuracy: [0.2, 0.3] } })).toContain('begins with it. In brackets:');
  });

  it('does without held-out data', () => {
    const { before: _b, after: _a, ...rest } = content;
    const html = formatReport({ ...rest, before: undefined, after: undefined });
    expect(html).toContain('no data was held out');
    expect(html).not.toContain('Confusion');
  });
});

/** A value for each step from 1. */
function seriesOf(values: readonly number[]): Series {
  const series = new Series();
  values.forEach((value, i) => series.add(i + 1, value));
  return series;
}

const curveOf = (values: readonly number[]): string =>
  stepCurve(seriesOf(values).stretches, { name: 'Loss', smooth: true });

describe('the curve', () => {
  it('draws losses where they belong', () => {
    // 560 wide: 64 left, 20 right; 260 high: 12 above, 36 below; the axis goes from 0 to 4.
    expect(curveOf([4, 2, 0])).toContain('<path class="raw" d="M64.0 12.0L302.0 118.0L540.0 224.0"/>');
    const points = [4, 2, 0].map((value, i) => ({ step: i + 1, value }));
    const marked = measuredCurve(points, { name: 'loss' });
    expect(marked).toContain('<path class="smooth" d="M64.0 12.0L302.0 118.0L540.0 224.0"/>');
    expect(marked).toContain('<circle cx="302.0" cy="118.0" r="3"><title>step 2: 2</title></circle>');
  });

  it('keeps spikes and the mean when it takes steps together', () => {
    const values = Array.from({ length: 100_000 }, (_, i) => (i === 50_000 ? 9 : 1));
    const { stretches } = seriesOf(values);
    expect(stretches.length).toBeLessThanOrEqual(512);
    expect(Math.max(...stretches.map(({ high }) => high))).toBe(9);
    const raw = /class="raw" d="([^"]*)"/.exec(curveOf(values))![1]!;
    expect(raw.split('L').length).toBeLessThanOrEqual(1024);
    // 9 of 10 on the axis.
    expect(raw).toMatch(/ 33\.2L/);
    const ramp = seriesOf(Array.from({ length: 3000 }, (_, i) => i)).stretches;
    for (const { step, mean } of ramp) expect(mean).toBeCloseTo(step - 1, 8);
  });

  it('shows the held-out loss over that of the training, on one scale, and tells numbers to a pointer', () => {
    const heldOut = [
      { step: 0, value: 8 },
      { step: 3, value: 2 },
    ];
    const svg = stepCurve(seriesOf([4, 2, 0]).stretches, { name: 'Loss', smooth: true, heldOut });
    // Steps 0 to 3 over 476 pixels, losses 0 to 8 over 212.
    expect(svg).toContain('<path class="held-out" d="M64.0 12.0L540.0 171.0"/>');
    expect(svg).toContain('<circle class="held-out" cx="64.0" cy="12.0" r="4"><title>step 0: 8</title></circle>');
    expect(svg).toContain('<title>step 2: 2</title>');
    const { before, after, ...rest } = content;
    const html = formatReport({
      ...rest,
      before: { ...before!, metrics: { accuracy: 0.25, loss: 3 } },
      after: { ...after!, metrics: { accuracy: 0.75, loss: 1 } },
    });
    expect(html).toContain('<title>step 0: 3</title>');
    expect(html).toContain('<title>step 3: 1</title>');
    expect(html).toContain('held-out data</li>');
    expect(html).not.toContain('loss on held-out data');
  });

  it('has its last tick in the middle below its place, or at the edge where it would be cut', () => {
    const to = (step: number): string => measuredCurve([1, step].map((at) => ({ step: at, value: at })), { name: 'loss' }); // prettier-ignore
    expect(to(2000)).toContain('<text x="540.0" y="242" text-anchor="middle">2000</text>');
    expect(to(20_000)).toContain('<text x="560" y="242" text-anchor="end">20000</text>');
  });

  it('says so where there is nothing to draw', () => {
    expect(curveOf([1])).toContain('Too few steps');
    expect(curveOf([NaN, 1])).toContain('Too few steps');
    expect(measuredCurve([{ step: 1, value: 1 }], { name: 'loss' })).toBe('');
  });

  it('has finite coordinates for any losses', () => {
    const losses = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }), {
      minLength: 2,
      maxLength: 50,
    });
    fc.assert(
      fc.property(losses, (values) => {
        expect(curveOf(values)).not.toMatch(/NaN|Infinity|undefined/);
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

  it('stands beside that of the base', () => {
    const { after, before } = content;
    const html = formatReport({ ...content, before: { ...before!, confusion: after!.confusion } });
    expect(html.indexOf('Confusion matrix before')).toBeLessThan(html.indexOf('Confusion matrix after training'));
    expect(html.split('<table class="confusion">')).toHaveLength(3);
  });

  it.each([15, 100])('of %d classes is a grid that fits any width, a tooltip for each cell', (classes) => {
    const labels = Array.from({ length: classes }, (_, i) => `class ${i} <&>`);
    const counts = labels.map((_, i) => labels.map((__, j) => (i === j ? 7 : i === 2 && j === 4 ? 3 : 0)));
    const html = confusionTable({ labels, counts });
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(html)!.map(Number);
    expect(width).toBe(560);
    expect(height).toBeLessThanOrEqual(600);
    expect(html.split('<g><title>')).toHaveLength(1 + classes + 1);
    expect(html).toContain('<title>true class 2 &lt;&amp;&gt;, predicted class 4 &lt;&amp;&gt;: 3 of 10</title>');
    for (const [, x, y, w] of html.matchAll(/<rect class="(?:hit|miss)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"/g)) {
      expect(Number(x) + Number(w)).toBeLessThanOrEqual(width!);
      expect(Number(y) + Number(w)).toBeLessThanOrEqual(height!);
    }
    expect(html).toContain('the most frequent mix-ups');
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
