/** @file Outcome and recommendation of a small sweep, with numbers computed by hand. */

import { bootstrapDraws, type Drawn, meanMeasure } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import { sweepPage } from '../report/sweepPage.ts';
import type { Configuration, SweepPlan } from './configurations.ts';
import { outcomeCsv, outcomeJson } from './files.ts';
import type { TrialRecord } from './journal.ts';
import { type DrawsOfTrial, outcomeOf, paretoFront, type SweepOutcome } from './outcome.ts';
import { recommendationOf } from './recommendation.ts';

describe('a Pareto front', () => {
  it('has what nothing beats in both', () => {
    //  cost   1    2    2    3    4    5
    //  score  0.5  0.7  0.6  0.7  0.9  0.8
    const points = [[1, 0.5], [2, 0.7], [2, 0.6], [3, 0.7], [4, 0.9], [5, 0.8]].map(([cost, score]) => ({ cost: cost!, score: score! })); // prettier-ignore
    expect(paretoFront(points)).toEqual([0, 1, 4]);
  });
  it('has equals both, and of nothing nothing', () => {
    const same = { cost: 1, score: 1 };
    expect(paretoFront([same, { cost: 2, score: 1 }, same])).toEqual([0, 2]);
    expect(paretoFront([])).toEqual([]);
  });
});

/** Scores by configuration, a trial each; NaN is one that has failed, and undefined one that has not been made. */
type Scores = Readonly<Record<string, readonly (number | undefined)[]>>;

/** The first word of a configuration is its method. */
function outcome(
  scores: Scores,
  {
    parameters = {},
    isLower = false,
    trainedOn = () => 'same' as string,
    baseline = 'lora',
    base = 0.1,
    draws,
  } = {} as {
    parameters?: Readonly<Record<string, number>>;
    isLower?: boolean;
    trainedOn?: (seed: number) => string;
    baseline?: string;
    base?: number;
    draws?: DrawsOfTrial;
  },
): SweepOutcome {
  const records = new Map<string, TrialRecord>();
  const configurations = Object.entries(scores).map(([name, values]): Configuration => {
    const trials = values.map((score, seed) => {
      const id = `${name}-${seed}`;
      const common = { crashes: 0, wall: 10, parameters: parameters[name] ?? 100, seconds: 2, bytes: 400, memory: 1e8 };
      const about = { trainedOn: trainedOn(seed), examples: { train: 80, heldOut: 20 }, before: { accuracy: base } };
      if (score !== undefined) {
        const failed = { status: 'failed', measured: [], failure: { code: 'X', message: 'The <loss> is no number.' } } as const; // prettier-ignore
        const done = { status: 'done', measured: [{ part: 1, step: 5, metrics: { accuracy: score } }] } as const;
        records.set(id, { ...common, ...about, ...(Number.isNaN(score) ? failed : done) });
      }
      return { id, seed, settings: {} };
    });
    const [method = '', ...rest] = name.split(' ');
    return { method, name, values: rest.length > 0 ? { lr: Number(rest[1]) } : {}, trials };
  });
  const methods = [...new Set(configurations.map(({ method }) => method))];
  const plan: SweepPlan = { configurations, methods, baseline };
  const known = outcomeOf(plan, { name: 'accuracy', isLower }, records, draws);
  return { ...known, recommendation: recommendationOf(known) };
}

describe('an outcome', () => {
  const scores = {
    'lora lr 1': [0.66, 0.7, 0.68, 0.69],
    'lora lr 2': [0.6, 0.6, 0.6, 0.6],
    'loha lr 1': [0.71, 0.74, 0.69, 0.75],
    'ia3 lr 1': [0.3, 0.31, 0.3, 0.32],
    'vera lr 1': [0.9, 0.9, NaN, 0.9],
    'dora lr 1': [0.9, undefined, undefined, undefined],
  };
  const found = outcome(scores, { parameters: { 'ia3 lr 1': 10, 'loha lr 1': 200 } });

  it('holds the best of each method against the best of the baseline', () => {
    expect(found.methods.map(({ method, best }) => [method, best.configuration.name])).toEqual([
      ['loha', 'loha lr 1'],
      ['lora', 'lora lr 1'],
      ['ia3', 'ia3 lr 1'],
    ]);
    const [loha, lora, ia3] = found.methods;
    expect(lora!.test).toBeUndefined();
    // As scipy.stats.ttest_rel; of two tests, the larger p stays and the smaller is doubled.
    expect(loha!.test!.p).toBeCloseTo(0.03420018039612882, 10);
    expect(loha!.test!.adjusted).toBeCloseTo(0.03420018039612882, 10);
    expect(ia3!.test!.difference).toBeCloseTo(-0.375, 12);
    expect(ia3!.test!.adjusted).toBeCloseTo(2 * ia3!.test!.p!, 12);
    expect(found.base).toBe(0.1);
    expect(found.trials).toEqual({ all: 24, done: 20, failed: 1 });
  });

  it('leaves out of fronts what was not made whole', () => {
    const fronts = found.configurations.map(({ fronts: [...own] }) => own.includes('parameters'));
    expect(fronts).toEqual([true, false, true, true, false, false]);
  });

  it('is a table in CSV and JSON', () => {
    const [head, first, ...rest] = outcomeCsv(found).trimEnd().split('\n');
    expect(head).toBe('configuration,method,lr,score,low,high,over_base,over_base_low,over_base_high,trials,state,trained_parameters,training_seconds,memory_bytes,adapter_bytes,fronts'); // prettier-ignore
    expect(first).toMatch(/^lora lr 1,lora,1,0\.6825,0\.6\d+,0\.7\d+,0\.58\d*,,,4,done,100,2,100000000,400,parameters/);
    expect(rest.map((line) => line.split(',')[10])).toEqual(['done', 'done', 'done', 'failed', 'not done']);
    expect(outcomeJson(found)).toMatchObject({
      baseline: 'lora',
      better: 'higher',
      methods: [{ method: 'loha' }, {}, {}],
    });
  });

  it('has errors that are wider where seeds hold out other examples', () => {
    const other = outcome(scores, { trainedOn: String });
    expect(other.resampling).toEqual({ ratio: 0.25 });
    const width = ({ interval: [low, high] = [0, 0] }: { readonly interval?: readonly [number, number] }): number => high - low; // prettier-ignore
    expect(width(other.configurations[0]!) / width(found.configurations[0]!)).toBeCloseTo(Math.SQRT2, 10);
  });

  it('is a page that opens offline and escapes all names', () => {
    const html = sweepPage({
      title: 'A <sweep>',
      outcome: outcome({ 'lora <b>': [0.6, 0.7], 'x&y lr 1': [0.5, NaN] }),
      isWhole: false,
      file: 'sweep: { methods: ["<b>"] }',
      seconds: 83,
      parallel: 2,
      date: new Date(0),
      runtime: 'Node',
    });
    expect(html).toContain('lora &lt;b&gt;');
    expect(html).toContain('1 of 2 failed: The &lt;loss&gt; is no number.');
    expect(html).toContain('Not all trials have been made.');
    expect(html).not.toMatch(/<b>|<loss>|<sweep>|https?:\/\/|NaN|undefined|Infinity/);
    expect(html.match(/<svg class="chart"/g)).toHaveLength(4);
  });
});

describe('what is to be used', () => {
  const plain = [0.66, 0.7, 0.68, 0.69];
  it.each<[string, Scores, RegExp]>([
    ['another that is better', { lora: plain, loha: [0.71, 0.74, 0.69, 0.75] }, /^Use loha .*better than plain LoRA at its best, lora .*\(p 0\.034 over 4 pairs\)\.$/], // prettier-ignore
    ['plain LoRA, where it wins', { lora: plain, ia3: [0.3, 0.31, 0.3, 0.32] }, /^Plain LoRA wins: use lora .*Next comes ia3 .*, which is 0\.375 .* behind \(p below 0\.001 over 4 pairs\)\.$/], // prettier-ignore
    ['plain LoRA, where it leads within noise', { lora: plain, loha: [0.7, 0.66, 0.69, 0.65] }, /^Plain LoRA wins: .*a difference within noise \(p 0\.\d+ over 4 pairs\)\.$/], // prettier-ignore
    ['plain LoRA, where another leads within noise', { lora: plain, loha: [0.7, 0.66, 0.74, 0.68] }, /^Nothing is better than plain LoRA beyond noise: use lora .*loha .* measured .* better, which is within noise/], // prettier-ignore
    ['plain LoRA, where all are equal', { lora: plain, loha: plain }, /^Nothing is better than plain LoRA: use lora .* loha .* measured the same\.$/], // prettier-ignore
    [
      'more seeds',
      { lora: [0.6], loha: [0.7] },
      /^loha .* measured 0\.1 better than plain LoRA .*these seeds do not say .* add some/,
    ],
    ['nothing', { lora: [undefined], loha: [NaN] }, /^No configuration was trained to its end/],
    ['what there is', { lora: [NaN], loha: [0.7] }, /^Use loha .* The baseline lora was not trained to its end/],
    [
      'the only method',
      { 'lora lr 1': [0.6], 'lora lr 2': [0.7] },
      /^Use lora lr 2 .*: of what was tried, it is the best\.$/,
    ],
  ])('%s', (_, scores, said) => {
    expect(outcome(scores).recommendation).toMatch(said);
  });

  it('is none where none is shown to be better than the base, though some measured better', () => {
    const drawn = (scores: readonly number[]): Drawn => bootstrapDraws(meanMeasure({ accuracy: scores }), scores.length)['accuracy']!; // prettier-ignore
    const right = (count: number): number[] => Array.from({ length: 20 }, (_, i) => Number(i < count));
    // The base is right of 7 in 20, plain LoRA of 5, and LoHa of 8.
    const draws: DrawsOfTrial = (id) => ({ before: { accuracy: drawn(right(7)) }, after: { accuracy: drawn(right(id.startsWith('loha') ? 8 : 5)) } }); // prettier-ignore
    const found = outcome({ lora: [0.25, 0.25], loha: [0.4, 0.4] }, { base: 0.35, draws });
    expect(found.verdict.outcome).toBe('none');
    expect(found.recommendation).toMatch(
      /^None of these 2 configurations is shown to be better than the base\. The best, loha, measured accuracy 0\.4 where the base has 0\.35, better by 0\.05 \(95%, corrected for having 2 to choose from: 0 to 0\.\d+\)\./,
    );
    for (const { interval, against } of found.configurations) {
      for (const end of interval!) expect(end).toBeGreaterThanOrEqual(0);
      expect(against!.interval).toHaveLength(2);
    }
    const page = sweepPage({ title: '', outcome: found, isWhole: true, file: '', seconds: 1, parallel: 1, date: new Date(0), runtime: '' }); // prettier-ignore
    expect(page).toContain('<p class="answer">None of these 2 configurations');
    // Where LoHa is right of 16, it is to be used, though plain LoRA is worse than the base.
    const better: DrawsOfTrial = (id) => ({ before: draws(id).before, after: { accuracy: drawn(right(id.startsWith('loha') ? 16 : 5)) } }); // prettier-ignore
    const used = outcome({ lora: [0.25, 0.25], loha: [0.8, 0.8] }, { base: 0.35, draws: better });
    expect(used.recommendation).toMatch(/^Use loha .* The baseline lora is not shown to be better than the base\.$/);
    expect(used.verdict.text).toMatch(/^1 of 2 configurations is shown to be better than the base\. Farthest from it is loha: accuracy 0\.8 where the base has 0\.35, better by 0\.45 /); // prettier-ignore
  });

  it('is not known to be better than the base of a task without draws, whose intervals keep to the metric', () => {
    const found = outcome({ lora: [0.2, 0.3] }, { base: 0.35 });
    expect(found.verdict).toMatchObject({ outcome: 'unknown', text: expect.stringContaining('measures no single examples') }); // prettier-ignore
    // Student's t alone would say −0.39 to 0.89.
    expect(found.configurations[0]!.interval![0]).toBe(0);
    expect(found.configurations[0]!.interval![1]).toBeCloseTo(0.25 + 12.706204736174694 * 0.05, 6);
  });

  it('is what is lower, where that is better', () => {
    const found = outcome({ lora: plain, loha: [0.71, 0.74, 0.69, 0.75] }, { isLower: true });
    expect(found.recommendation).toMatch(/^Plain LoRA wins/);
    expect(found.methods[1]!.test!.difference).toBeCloseTo(-0.04, 12);
  });

  it('names a much smaller one that cannot be told from the best', () => {
    const scores = {
      lora: plain,
      loha: [0.6, 0.6, 0.6, 0.61],
      vera: [0.69, 0.66, 0.69, 0.68],
      ia3: [0.1, 0.1, 0.12, 0.1],
    };
    const { recommendation } = outcome(
      { ...scores, lokr: [0.685, 0.69, 0.68, 0.67] },
      { parameters: { vera: 40, ia3: 10 } },
    );
    expect(recommendation).toMatch(/At most half the size of lora, vera .* is the smallest that these 4 pairs cannot tell from it/); // prettier-ignore
  });
});
