/** @file Runs beside each other: what differs, what they came to, and what must not be compared. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

interface Told {
  readonly settings?: string;
  readonly losses: readonly number[];
  readonly measured?: readonly object[];
}

/** A run's folder with only what is read of it. */
function run(folder: string, { settings = '', losses, measured = [] }: Told): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'config.yaml'), `model: vit\ndata: photos\n${settings}`);
  const steps = losses.map((loss, i) => ({ type: 'step', step: i + 1, loss, lr: 0.1, gradNorm: 1, memory: 1e8 }));
  const events = [...steps, ...measured.map((each) => ({ type: 'evaluation', examples: 40, ...each }))];
  const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
  // A process that was killed leaves half a line.
  writeFileSync(path.join(folder, 'metrics.jsonl'), `${lines}{"type":"st`);
  return folder;
}

const intervals = { accuracy: [0.55, 0.83] };

it('tells metrics with intervals and the settings that differ, and writes a page', async () => {
  const runs = path.join(temporaryFolder(), 'runs');
  const four = run(path.join(runs, 'r4'), {
    settings: 'r: 4\nlr: 0.001\n',
    losses: [2, 1.5, 1],
    measured: [
      { step: 0, metrics: { accuracy: 0.1, loss: 2.3 } },
      { step: 2, metrics: { accuracy: 0.5, loss: 1.2 } },
      { step: 3, metrics: { accuracy: 0.7, loss: 0.9 }, intervals },
    ],
  });
  const eight = run(path.join(runs, 'r<8>'), {
    settings: 'r: 8\nlr: 0.001\n',
    losses: [2, 1],
    measured: [{ step: 2, metrics: { accuracy: 0.8, loss: 0.5 } }],
  });
  const { stdout, stderr, code } = await call(['compare', four, eight]);
  expect([code, stderr]).toEqual([0, '']);
  const out = path.join(runs, 'compare.html');
  expect(stdout).toBe(
    `metric     run
accuracy   r4    0.7 (0.55 to 0.83)
           r<8>  0.8
loss       r4    0.9
           r<8>  0.5
last loss  r4    1 after 3 steps
           r<8>  1 after 2 steps

setting  run
r        r4    4
         r<8>  8

page  ${out}
`,
  );
  const html = readFileSync(out, 'utf8');
  for (const words of [
    '0.7 <span class="interval">(0.55 to 0.83)</span>',
    'base 0.1',
    'r&lt;8&gt;',
    'accuracy on held-out data',
    'Loss in training',
  ])
    expect(html).toContain(words);
  expect(html).not.toContain('r<8>');
  // Two curves of the loss in training, and one of each metric: the other run was measured once, which is a point.
  expect(html.split('<path class="s')).toHaveLength(1 + 2 + 1 + 1);
  expect(html.split(/<g class="s1"><circle [^>]*><title>r&lt;8&gt;: 2, /)).toHaveLength(1 + 2);
  expect((await call(['compare', four, eight])).stderr).toMatch(/compare\.html" is there already\. .*--overwrite/);
  expect(await callJson('compare', eight, four, '-o', path.join(runs, 'other.html'))).toMatchObject({
    runs: [
      { metrics: { accuracy: 0.8 }, steps: 2 },
      { intervals, examples: 40 },
    ],
    settings: { r: ['8', '4'] },
    warnings: [],
  });
});

it('takes the best measurement of a run that kept the best, and warns of other examples', async () => {
  const runs = temporaryFolder();
  const measured = [
    { step: 1, metrics: { accuracy: 0.9 }, best: true },
    { step: 2, metrics: { accuracy: 0.4 }, best: false },
  ];
  const best = run(path.join(runs, 'best'), { settings: 'load-best: true\nseed: 1\n', losses: [2, 1], measured });
  const last = run(path.join(runs, 'last'), { settings: 'seed: 2\n', losses: [2, 1], measured });
  const none = run(path.join(runs, 'none'), { losses: [2, 1] });
  const { runs: found, warnings } = await callJson<{
    runs: { metrics: Record<string, number> | null }[];
    warnings: string[];
  }>('compare', best, last, none);
  expect(found.map(({ metrics }) => metrics?.['accuracy'])).toEqual([0.9, 0.4, undefined]);
  // A run without measurements has no curve, and the legend says so.
  const html = readFileSync(path.join(runs, 'compare.html'), 'utf8');
  expect(html).toContain('<li class="s1">last</li><li class="none">none (no curve)</li>');
  expect(warnings).toEqual([
    expect.stringMatching(/not be measured on the same examples: seed differ/) as string,
    `Nothing was measured of ${none}: no data was held out.`,
  ]);
});

it.each([
  [['a'], /One run is named/],
  [['a', './a'], /"\.\/a" is named twice/],
  [['nowhere', 'a'], /"nowhere" holds no metrics\.jsonl/],
  [['a', 'b', '-o', 'table.csv'], /must name a file that ends in \.html/],
])('%j is a mistake', async (words, message) => {
  const { code, stderr } = await call(['compare', ...words]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  expect(existsSync('compare.html')).toBe(false);
});
