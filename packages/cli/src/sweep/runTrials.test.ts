/** @file How trials are run one after the other, without training: in what order, within what, and what becomes of those that fail. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { stripVTControlCharacters } from 'node:util';
import { temporaryFolder } from '../../fixtures/call.ts';
import { Progress } from '../terminal/progress.ts';
import { Terminal } from '../terminal/terminal.ts';
import type { Configuration, SweepPlan } from './configurations.ts';
import { nextTasks, rungsOf, workOf } from './halving.ts';
import { Journal } from './journal.ts';
import { type Ending, TrialRunner, type TrialsRequest } from './runTrials.ts';
import type { RunningTrial } from './trialProcess.ts';
import type { TrialJob, TrialMessage } from './trialProgram.ts';
import { Watcher } from './watching.ts';

const metric = { name: 'accuracy', isLower: false };
const MB = 2 ** 20;

/** Configurations of methods, two seeds each; the names of configurations end in the score that they reach. */
function planOf(names: readonly string[], seeds = 2): SweepPlan {
  const configurations = names.map((name): Configuration => {
    const trials = Array.from({ length: seeds }, (_, seed) => ({ id: `${name} ${seed}`, seed, settings: { seed } }));
    return { method: name.split(' ')[0]!, name, values: {}, trials };
  });
  return { configurations, methods: [...new Set(configurations.map(({ method }) => method))], baseline: 'lora' };
}

function summaryOf(score: number, stopAfter?: number): Extract<TrialMessage, { type: 'ended' }> {
  return {
    type: 'ended',
    memory: 100 * MB,
    bytes: 40,
    summary: {
      out: '', adapter: '', report: '', steps: 9, loss: 1, stopped: false, endedBy: stopAfter === undefined ? 'steps' : 'stop', seconds: 2,
      trainableParameters: 10, examples: { train: 8, heldOut: 2 }, before: { accuracy: 0 }, after: { accuracy: score },
      worse: false,
    verdict: null, best: null, skippedSteps: 0, badSamples: 0,
    },
  }; // prettier-ignore
}

/** Behaviour of a trial by the name of its folder; by default it succeeds. */
type Behaviour = (job: TrialJob, listen: (message: TrialMessage) => void) => Promise<string | null | void> | void;

interface Told {
  readonly ending: Ending;
  readonly began: readonly string[];
  readonly journal: Journal;
  readonly most: number;
}

async function run(
  plan: SweepPlan,
  options: TrialsRequest['options'],
  behave: Behaviour = () => undefined,
  { search = 'grid', factor = 2, out = temporaryFolder(), stopAt = Infinity, metric: asked = metric } = {} as {
    search?: 'grid' | 'halving';
    factor?: number;
    out?: string;
    stopAt?: number;
    metric?: TrialsRequest['metric'];
  },
): Promise<Told> {
  const began: string[] = [];
  let running = 0;
  let most = 0;
  const journal = Journal.open(out);
  const runner = new TrialRunner({
    plan, journal, options, out, plugins: [], metric: asked, factor, rungs: rungsOf(plan, { search, factor }),
    launch: (job, listen): RunningTrial => {
      const name = path.basename(job.settings.out).replace(/-[^-]* \d+$/, '');
      began.push(job.stopAfter === undefined ? name : `${name} ${job.stopAfter}`);
      most = Math.max(most, ++running);
      if (began.length === stopAt) setImmediate(() => runner.stop('stopped'));
      const over = new AbortController();
      const work = async (): Promise<{ signal: string | null; code: number | null; stderr: string }> => {
        await Promise.resolve();
        const signal = await behave(job, listen);
        if (signal === undefined && !over.signal.aborted) {
          await after(5, undefined, { signal: over.signal }).catch(() => undefined);
          const score = Number(/[\d.]+$/.exec(name.replace(/-seed-\d+$/, ''))?.[0] ?? 0);
          if (!over.signal.aborted) listen(summaryOf(score, job.stopAfter));
        }
        running--;
        return { signal: over.signal.aborted ? 'SIGTERM' : (signal ?? null), code: signal ? null : 0, stderr: signal ? 'one\nlast words' : '' };
      };
      return { ended: work(), stop: () => over.abort(), kill: () => over.abort() };
    },
  }); // prettier-ignore
  return { ending: await runner.run(), began, journal, most };
}

describe('trials', () => {
  it('are made with the first seed first, as many at a time as may be, and none again', async () => {
    const plan = planOf(['lora 0.1', 'ia3 0.2']);
    const out = temporaryFolder();
    const { ending, began, journal, most } = await run(plan, { parallel: 2 }, undefined, { out });
    expect(ending).toBe('done');
    expect(most).toBe(2);
    expect(began).toEqual(['lora-0.1-seed-0', 'ia3-0.2-seed-0', 'lora-0.1-seed-1', 'ia3-0.2-seed-1']);
    expect(journal.get('ia3 0.2 1')).toMatchObject({ status: 'done', measured: [{ part: 1, metrics: { accuracy: 0.2 } }], parameters: 10, bytes: 40 }); // prettier-ignore
    // The same command again; and with one more method.
    expect((await run(plan, { parallel: 1 }, undefined, { out })).began).toEqual([]);
    const more = await run(planOf(['lora 0.1', 'ia3 0.2', 'loha 0.3']), { parallel: 1 }, undefined, { out });
    expect(more.began).toEqual(['loha-0.3-seed-0', 'loha-0.3-seed-1']);
  });

  it('that do not measure what they are compared by end the sweep, and are not lost', async () => {
    const out = temporaryFolder();
    const asked = { name: 'cer', isLower: true };
    await expect(run(planOf(['lora 0.1', 'ia3 0.2'], 1), { parallel: 1 }, undefined, { out, metric: asked })).rejects.toThrow('The metric "cer" is not among those that are measured: accuracy'); // prettier-ignore
    const { began } = await run(planOf(['lora 0.1', 'ia3 0.2'], 1), { parallel: 1 }, undefined, { out });
    expect(began).toEqual(['ia3-0.2-seed-0']);
  });

  it.each([true, false])('are told of the metric unless it is measured after them alone: %s', async (isFinal) => {
    const { configurations, ...plan } = planOf(['lora 0.1'], 1);
    const told = configurations.map((each) => ({ ...each, trials: each.trials.map((trial) => ({ ...trial, settings: { ...trial.settings, metric: 'accuracy' } })) })); // prettier-ignore
    const asked: unknown[] = [];
    const note: Behaviour = ({ settings }) => void asked.push(settings.metric);
    await run({ ...plan, configurations: told }, { parallel: 1 }, note, { metric: { ...metric, isFinal } });
    expect(asked).toEqual([isFinal ? undefined : 'accuracy']);
  });

  it('that are stopped are begun the next time', async () => {
    const plan = planOf(['lora 0.1', 'ia3 0.2']);
    const out = temporaryFolder();
    const stopped = await run(plan, { parallel: 1 }, undefined, { out, stopAt: 2 });
    expect(stopped.ending).toBe('stopped');
    expect(stopped.began).toEqual(['lora-0.1-seed-0', 'ia3-0.2-seed-0']);
    expect(Journal.open(out).get('ia3 0.2 0')).toMatchObject({ status: 'begun', crashes: 0 });
    expect((await run(plan, { parallel: 1 }, undefined, { out })).began[0]).toBe('ia3-0.2-seed-0');
  });

  it('that fail are told of, and are not run again; of a crash the second time', async () => {
    const { began, journal } = await run(planOf(['lora 0.1', 'ia3 0.2'], 1), { parallel: 1 }, (job, listen) => {
      if (job.settings.out.includes('ia3')) return Promise.resolve('SIGKILL');
      listen({ type: 'failed', code: 'LOSS_NOT_FINITE', message: 'Step 3: the loss is NaN.' });
      return Promise.resolve(null);
    });
    expect(began).toEqual(['lora-0.1-seed-0', 'ia3-0.2-seed-0', 'ia3-0.2-seed-0']);
    expect(journal.get('lora 0.1 0')).toMatchObject({ status: 'failed', failure: { code: 'LOSS_NOT_FINITE' } });
    expect(journal.get('ia3 0.2 0')).toMatchObject({ status: 'failed', crashes: 2, failure: { code: 'CRASHED', message: expect.stringContaining('ended by SIGKILL, 2 times: last words.') } }); // prettier-ignore
  });

  it('end when the time is up, that of earlier calls included', async () => {
    const out = temporaryFolder();
    const slow: Behaviour = () => after(150).then(() => undefined);
    const first = await run(planOf(['lora 0.1'], 9), { parallel: 1, minutes: 0.4 / 60 }, slow, { out });
    expect(first.ending).toBe('time');
    expect(first.began.length).toBeLessThan(5);
    expect((await run(planOf(['lora 0.1'], 9), { parallel: 1, minutes: 0.4 / 60 }, slow, { out })).began).toEqual([]);
  });

  it('are as many at a time as memory allows, once it is known what one needs', async () => {
    const plan = planOf(['lora 0.1', 'ia3 0.2', 'loha 0.3']);
    // Each takes 100 MB.
    expect((await run(plan, { parallel: 6, memory: 250 })).most).toBe(2);
    expect((await run(plan, { parallel: 6, memory: 350 })).most).toBe(3);
    const { journal } = await run(planOf(['lora 0.1'], 1), { parallel: 1, memory: 90 }, async (_, listen) => {
      listen({ type: 'alive', memory: 95 * MB });
      await after(5);
    });
    expect(journal.get('lora 0.1 0')).toMatchObject({ status: 'failed', failure: { code: 'OUT_OF_MEMORY', message: 'It held 95 MB, and sweep.memory allows 90.' } }); // prettier-ignore
  });

  it('keep no checkpoints once they are done', async () => {
    const out = temporaryFolder();
    const { began } = await run(planOf(['lora 0.1'], 1), { parallel: 1 }, (job) => {
      mkdirSync(path.join(job.settings.out, 'checkpoints/step-9'), { recursive: true });
    }, { out }); // prettier-ignore
    expect(began).toHaveLength(1);
    expect(existsSync(path.join(out, 'trials', 'lora-0.1-seed-0-lora 0.1 0'))).toBe(true);
    expect(existsSync(path.join(out, 'trials', 'lora-0.1-seed-0-lora 0.1 0', 'checkpoints'))).toBe(false);
  });
});

describe('halving', () => {
  const names = ['lora 0.1', 'lora 0.4', 'lora 0.2', 'lora 0.3', 'ia3 0.5', 'ia3 0.6'];

  it('continues with the best of each method, to the end with one', async () => {
    const { began } = await run(planOf(names, 1), { parallel: 1 }, undefined, { search: 'halving' });
    const at = (part: number | undefined, ...own: string[]): string[] =>
      own.map((name) => `${name.replace(' ', '-')}-seed-0${part === undefined ? '' : ` ${part}`}`);
    expect(began).toEqual([
      ...at(0.25, ...names),
      ...at(0.5, 'lora 0.4', 'lora 0.3', 'ia3 0.6'),
      ...at(undefined, 'lora 0.4', 'ia3 0.6'),
    ]);
  });

  it('counts one that has failed as the worst', () => {
    const plan = planOf(['lora 0.1', 'lora 0.4'], 1);
    const measured = [{ part: 0.5, step: 1, metrics: { accuracy: 0.1 } }];
    const records = new Map([
      ['lora 0.1 0', { status: 'paused' as const, measured, crashes: 0, wall: 1 }],
      ['lora 0.4 0', { status: 'failed' as const, measured: [], crashes: 0, wall: 1 }],
    ]);
    const tasks = nextTasks(plan, { rungs: [0.5, 1], factor: 2, journal: records, metric });
    expect(tasks.map(({ trial: { id }, part }) => [id, part])).toEqual([['lora 0.1 0', 1]]);
  });

  it('makes as much as it says beforehand', () => {
    // Four and two configurations: 6 quarters, then 2 and 1 by another quarter, then 1 and 1 by another half.
    expect(workOf(planOf(names, 3), [0.25, 0.5, 1], 2)).toBeCloseTo(3 * (6 / 4 + 3 / 4 + 2 / 2), 12);
    expect(workOf(planOf(names, 3), [1], 2)).toBe(18);
  });

  it('has as many rungs as leave one of the largest method', () => {
    expect(rungsOf(planOf(names), { search: 'halving', factor: 2 })).toEqual([0.25, 0.5, 1]);
    expect(rungsOf(planOf(names), { search: 'halving', factor: 3 })).toEqual([1 / 9, 1 / 3, 1]);
    expect(rungsOf(planOf(names), { search: 'halving', factor: 3, rungs: 2 })).toEqual([1 / 3, 1]);
    expect(rungsOf(planOf(names), { search: 'grid', factor: 3 })).toEqual([1]);
  });
});

it('a live table has what runs, what is best, and the time that is left', async () => {
  const plan = planOf(['lora 0.1', 'ia3 0.2']);
  let shown = '';
  const stderr = { write: (text: string) => (shown += text), isTTY: true, columns: 60 };
  const terminal = new Terminal({ stdout: stderr, stderr });
  const { journal } = await run(planOf(['lora 0.1', 'ia3 0.2'], 1), { parallel: 1 });
  const task = { configuration: plan.configurations[1]!, trial: plan.configurations[1]!.trials[1]!, part: 1 };
  const underway = new Map([['ia3 0.2 1', { task, since: performance.now(), step: 3, steps: 9, loss: 0.5, memory: 100 * MB }]]); // prettier-ignore
  const watched = { plan, metric, journal, parallel: 1, rungs: [1], factor: 3, underway };
  new Watcher(watched, { terminal, progress: new Progress(terminal), quiet: false }).show();
  const [, first, ...lines] = stripVTControlCharacters(shown).replace('\r', '\n').trimEnd().split('\n');
  expect(first).toMatch(/^2 of 4 trials {2}0:00, about 0:00 left$/);
  expect(lines[0]).toMatch(/^ia3 0\.2 {2}seed 1 {2}step 3\/9 {2}loss 0\.5000 {2}100 MB {2}0:00$/);
  expect(lines.slice(2)).toEqual(['ia3 0.2   accuracy 0.2  1 of 2', 'lora 0.1  accuracy 0.1  1 of 2']);
  // In a pipe, a line for each of a few trials, however often something changes.
  const plain = { write: (text: string) => (shown += text) };
  shown = '';
  const pipe = new Terminal({ stdout: plain, stderr: plain });
  const few = { ...watched, plan: planOf(['lora 0.1'], 4) };
  const piped = new Watcher(few, { terminal: pipe, progress: new Progress(pipe), quiet: false });
  piped.show();
  piped.show();
  expect(shown).toMatch(/^1 of 4 trials {2}0:00, about 0:00 left\n$/);
});

it('a journal that no sweep has written is refused by its name', () => {
  const out = temporaryFolder();
  writeFileSync(path.join(out, 'sweep.json'), '{"version":1,"seconds":1,"trials":{"a":{"status":"flying"}}}');
  expect(() => Journal.open(out)).toThrow(/sweep\.json" is no journal of a sweep, or is damaged\. Name another folder/);
});
