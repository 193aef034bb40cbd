/** @file Tests of a run: what it tells, how it is held and stopped, what it does about bad luck, and how it continues. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { open } from 'node:fs/promises';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { watchTurns } from '../../../fixtures/turns.ts';
import { tinyTask, type TinyTaskOptions } from '../../../fixtures/tinyTask.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import type { Runtime } from '../../runtime/session.ts';
import { float32 } from '../../runtime/tensor.ts';
import { evaluate } from '../evaluate.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import type { Optimizer } from '../../train/optimizers/optimizer.ts';
import { clip } from '../../train/transformation.ts';
import { train } from '../train.ts';
import { latestCheckpoint } from './checkpoints/checkpointFolder.ts';
import type { TrainingRun, TrainResult } from './trainingRun.ts';
import type { TrainEvent } from '../../plugin/events.ts';
import type { AnyOptionRow } from './options/optionRow.ts';
import { type TrainOptions, trainOptionRows } from './options/options.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = path.join(folder, 'model.onnx');
writeOnnx(file, mlp((layer) => golden(`base.${layer}.weight`)).model);
const model = await openModel(file);

let count = 0;
const newFolder = (): string => path.join(folder, `run-${count++}`);

interface Told {
  readonly events: readonly TrainEvent[];
  readonly result: TrainResult;
  readonly losses: readonly number[];
}

const settings = {
  lora: { r: 4, targetModules: ['fc1', 'fc2'] },
  steps: 10,
  batchSize: 8,
  lr: 1e-2,
  seed: 5,
  provider: 'cpu',
  threads: 1,
} as const;

/** A whole run. */
async function run(
  task: TinyTaskOptions = {},
  options: Partial<TrainOptions> = {},
  base: Model = model,
): Promise<Told> {
  const run = await train(base, { ...settings, task: tinyTask(task), ...options });
  const events: TrainEvent[] = [];
  for await (const event of run) events.push(event);
  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
  return { events, result: await run.done, losses };
}

function bytesOf(adapter: Adapter): string {
  return [...adapter.tensors].map(([name, { data }]) => `${name} ${Buffer.from(data.buffer).toString('hex')}`).join();
}

function ofType<Type extends TrainEvent['type']>({ events }: Told, type: Type): Extract<TrainEvent, { type: Type }>[] {
  return events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);
}

describe('events', () => {
  it('tell each step, and the same to whoever comes late', async () => {
    const run = await train(model, { ...settings, task: tinyTask() });
    const { steps, adapter, loss, endedBy, stopped } = await run.done;
    const events: TrainEvent[] = [];
    for await (const event of run) events.push(event);
    expect(events.map(({ type, step }) => [type, step])).toEqual(Array.from({ length: 10 }, (_, i) => ['step', i + 1]));
    // 80 of 40 examples in 10 steps.
    expect(events.at(-1)).toMatchObject({ steps: 10, epoch: 2, loss, lr: expect.closeTo(1e-3) as number });
    expect({ steps, endedBy, stopped }).toEqual({ steps: 10, endedBy: 'steps', stopped: false });
    expect(bytesOf(run.adapter)).toBe(bytesOf(adapter));
  });

  it('are the same in a second run, bit for bit, and others with another seed', async () => {
    const [a, b, c] = [await run({ delay: 3 }), await run({ delay: 3 }), await run({}, { seed: 6 })];
    expect(b.losses).toEqual(a.losses);
    expect(bytesOf(b.result.adapter)).toBe(bytesOf(a.result.adapter));
    expect(bytesOf(c.result.adapter)).not.toBe(bytesOf(a.result.adapter));
  });

  it('leave the event loop free: no turn of 20 ms', { retry: 3 }, async () => {
    const rows = 60_000;
    const batch = {
      inputs: { x: float32(new Float32Array(rows * 24).fill(0.5), [rows, 24]) },
      targets: { y: float32(new Float32Array(rows * 16), [rows, 16]) },
    };
    const longest = async (base: Model): Promise<number> => {
      const small = await tinyTask().prepare(base);
      const task = {
        name: 'wide',
        prepare: () => Promise.resolve({ ...small, collate: () => Promise.resolve(batch) }),
      };
      const run = await train(base, { ...settings, task, steps: 5, prefetch: 0 });
      const longestTurn = watchTurns();
      await run.done;
      return longestTurn();
    };
    // In this thread a step takes longer than that.
    expect(await longest(await openModel(file, { runtime: new OrtRuntime() }))).toBeGreaterThan(20);
    expect(await longest(model)).toBeLessThan(20);
  });
});

describe('sampling', () => {
  const drawn = async (sampling: TrainOptions['sampling'], task: TinyTaskOptions = {}): Promise<number[]> => {
    const times = new Array<number>(12).fill(0);
    const onGet = (index: number): void => void times[index]!++;
    await run({ rows: 12, onGet, ...task }, { ...(sampling ? { sampling } : {}), steps: 6, batchSize: 6 });
    return times;
  };

  it('draws each example once in an epoch, every class equally often, or by weight', async () => {
    expect(await drawn('uniform')).toEqual(new Array(12).fill(3));
    // Two of one class and ten of the other: 18 of 36 draws each.
    const weights = Array.from({ length: 12 }, (_, i) => (i < 2 ? 1 / 2 : 1 / 10));
    expect((await drawn('balanced', { weights })).slice(0, 2)).toEqual([9, 9]);
    expect((await drawn(weights)).slice(0, 2)).toEqual([9, 9]);
    const lengths = Array.from({ length: 12 }, (_, i) => i);
    expect(await drawn('length', { lengths })).toEqual(new Array(12).fill(3));
  });

  it('draws examples of about one length together, the longest first', async () => {
    const order: number[] = [];
    const lengths = Array.from({ length: 12 }, (_, i) => (i * 5) % 12);
    const onGet = (index: number): void => void order.push(lengths[index]!);
    await run({ rows: 12, onGet, lengths }, { sampling: 'length', steps: 4, batchSize: 3 });
    // An epoch of fewer than eight batches is sorted batch by batch.
    expect(order[0]).toBe(11);
    for (const start of [3, 6, 9])
      expect(order.slice(start, start + 3)).toEqual(order.slice(start, start + 3).toSorted((a, b) => b - a));
  });

  it('refuses what cannot be', async () => {
    await expect(drawn('balanced')).rejects.toThrow("sampling: 'balanced' draws every class equally often");
    await expect(drawn('length')).rejects.toThrow("this task's data do not say how long examples are");
    await expect(drawn('length', { lengths: [1, 2] })).rejects.toThrow('2 lengths for 12 examples');
    await expect(drawn('length', { lengths: new Array(12).fill(NaN) })).rejects.toThrow('no numbers of at least 0');
    await expect(drawn([1, 2])).rejects.toThrow('sampling has 2 weights, but there are 12 examples');
    const negative = Array.from({ length: 12 }, (_, i) => 5 - i);
    await expect(drawn(negative)).rejects.toThrow('sampling has the weight -1 for example 6');
    await expect(drawn(new Array<number>(12).fill(0))).rejects.toThrow('no weight above 0');
    await expect(drawn('even' as 'uniform')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('tells what the task warns of first', async () => {
    const task = {
      name: 'tiny',
      prepare: async (base: Model) => ({ ...(await tinyTask().prepare(base)), warnings: ['Two are the same.'] }),
    };
    const [first] = (await run({}, { task, steps: 1 })).events;
    expect(first).toMatchObject({ type: 'warning', message: 'Two are the same.' });
  });
});

describe('batches', () => {
  it('are the same however many load ahead', async () => {
    const expected = await run();
    for (const prefetch of [0, 1, 7]) expect((await run({ delay: 2 }, { prefetch })).losses).toEqual(expected.losses);
  });

  it('load while a step computes, and none beyond the last', async () => {
    const asked: number[] = [];
    const task = tinyTask({ onGet: (index) => asked.push(index) });
    const run = await train(model, { ...settings, task, prefetch: 3, steps: 5 });
    // The first, and three ahead.
    expect(asked).toHaveLength(4 * 8);
    await run.done;
    expect(asked).toHaveLength(5 * 8);
  });

  it('of one step are as one large batch', async () => {
    const large = await run({}, { batchSize: 8 });
    const small = await run({}, { batchSize: 4, accumulationSteps: 2 });
    small.losses.forEach((loss, i) => expect(loss).toBeCloseTo(large.losses[i]!, 5));
    expect(small.losses).toHaveLength(10);
  });
});

describe('holding and stopping', () => {
  it.each([
    [4, 4],
    [0.31, 4],
    [99, 10],
  ])('stopAfter %d ends it after step %d, and it continues as if it had not', async (stopAfter, step) => {
    const checkpoints = { folder: newFolder(), every: 100 };
    const part = await run({ held: 8 }, { checkpoints, stopAfter });
    expect(part.result).toMatchObject({ steps: step, endedBy: step < 10 ? 'stop' : 'steps' });
    const rest = await run({ held: 8 }, { checkpoints, resume: true });
    const whole = await run({ held: 8 });
    expect([...part.losses, ...rest.losses]).toEqual(whole.losses);
    expect(bytesOf(rest.result.adapter)).toBe(bytesOf(whole.result.adapter));
  });

  it('pause holds the run after a step, resume lets it continue, and nothing else changes', async () => {
    const expected = await run();
    const held = await train(model, { ...settings, task: tinyTask() });
    const steps: number[] = [];
    const told = (async () => {
      for await (const { step } of held) steps.push(step);
    })();
    await held.pause();
    const reached = steps.length;
    const before = bytesOf(held.adapter);
    await setTimeout(100);
    expect(steps).toHaveLength(reached);
    expect(reached).toBeLessThan(10);
    expect(bytesOf(held.adapter)).toBe(before);
    held.resume();
    expect(bytesOf((await held.done).adapter)).toBe(bytesOf(expected.result.adapter));
    await told;
    // Over is as good as held.
    await held.pause();
  });

  it('stop ends a run, also a paused one', async () => {
    const paused = await train(model, { ...settings, task: tinyTask(), steps: 1000 });
    await paused.pause();
    paused.stop();
    expect(await paused.done).toMatchObject({ stopped: true, endedBy: 'stop' });
  });

  it('a signal cancels a run as it does elsewhere: done and the iteration reject with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('no longer wanted');
    const aborted = await train(model, { ...settings, task: tinyTask(), steps: 1000, signal: controller.signal });
    let last = 0;
    const iteration = (async () => {
      for await (const { step } of aborted) {
        last = step;
        if (step === 2) controller.abort(reason);
      }
    })();
    await expect(iteration).rejects.toMatchObject({ code: 'CANCELLED', cause: reason });
    await expect(aborted.done).rejects.toMatchObject({ code: 'CANCELLED', cause: reason });
    expect(last).toBeLessThan(20);
    // The trained values are still there.
    expect(bytesOf(aborted.adapter)).not.toBe('');
    await expect(train(model, { ...settings, task: tinyTask(), signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
      cause: { name: 'AbortError' },
    });
    // Too late, it changes nothing.
    const late = new AbortController();
    const whole = await train(model, { ...settings, task: tinyTask(), signal: late.signal });
    const { endedBy } = await whole.done;
    late.abort();
    expect(endedBy).toBe('steps');
  });

  it('await using stops a run and waits for its end', async () => {
    let run: TrainingRun;
    {
      await using own = await train(model, { ...settings, task: tinyTask(), steps: 1000 });
      run = own;
    }
    expect(await Promise.race([run.done, Promise.resolve('still going')])).toMatchObject({ endedBy: 'stop' });
  });
});

describe('evaluation', () => {
  const held = { held: 16 };

  it('measures what evaluate finds', async () => {
    const told = await run(held, { evaluateEvery: 4 });
    const evaluations = ofType(told, 'evaluation');
    expect(evaluations.map(({ step }) => step)).toEqual([4, 8, 10]);
    expect(told.result.metrics).toEqual(evaluations.at(-1)!.metrics);
    const { metrics, examples } = await evaluate(model, {
      task: tinyTask(held),
      adapter: told.result.adapter,
      batchSize: 8,
      threads: 1,
    });
    expect(evaluations[2]).toMatchObject({ examples });
    expect(evaluations[2]!.metrics['mse']).toBeCloseTo(metrics['mse']!, 6);
  });

  it('fails on an example that cannot be loaded, or leaves it out and says so', async () => {
    const options = { batchSize: 8, threads: 1 };
    const task = tinyTask({ rows: 20, bad: [3, 17] });
    await expect(evaluate(model, { task, ...options })).rejects.toThrow('"row-3.txt" is no row.');
    const { examples, badSamples, metrics } = await evaluate(model, { task, ...options, onBadSample: 'skip' });
    expect(examples).toBe(18);
    expect(badSamples).toEqual([3, 17].map((example) => ({ example, message: `"row-${example}.txt" is no row.` })));
    expect(metrics['mse']).toBeGreaterThan(0);
    const none = tinyTask({ rows: 2, bad: [0, 1] });
    await expect(evaluate(model, { task: none, ...options, onBadSample: 'skip' })).rejects.toThrow(
      'None of the 2 examples can be loaded. The first: "row-0.txt" is no row.',
    );
  });

  it('after each epoch of 5 steps', async () => {
    const told = await run(held, { evaluateEvery: 'epoch' });
    expect(ofType(told, 'evaluation').map(({ step }) => step)).toEqual([5, 10]);
  });

  it('chooses the best adapter, not the last', async () => {
    // A rate that soon throws the adapter off.
    const options = { evaluateEvery: 1, lr: 0.3, schedule: 'constant', loadBest: true } as const;
    const told = await run(held, options);
    const values = ofType(told, 'evaluation').map(({ metrics }) => metrics['mse']!);
    const best = values.indexOf(Math.min(...values)) + 1;
    expect(best).toBeLessThan(10);
    expect(told.result.best).toEqual({ step: best, value: values[best - 1] });
    const shorter = await run(held, { ...options, loadBest: false, steps: best });
    expect(bytesOf(told.result.adapter)).toBe(bytesOf(shorter.result.adapter));
    // The other way round for a metric that is better higher, or said to be.
    for (const metric of ['negative', { name: 'mse', better: 'higher' }] as const) {
      const { result } = await run(held, { ...options, metric });
      const sign = metric === 'negative' ? 1 : -1;
      expect(result.best!.step === best).toBe(sign === 1);
    }
  });

  it('stops when nothing gets better', async () => {
    const told = await run(held, {
      evaluateEvery: 1,
      lr: 0.3,
      schedule: 'constant',
      steps: 50,
      earlyStopping: { patience: 3 },
    });
    const { best, steps, endedBy, stopped } = told.result;
    expect({ endedBy, stopped }).toEqual({ endedBy: 'earlyStopping', stopped: false });
    expect(steps).toBe(best!.step + 3);
    // Nothing counts that is better by less than this.
    const never = await run(held, { evaluateEvery: 1, steps: 50, earlyStopping: { patience: 2, minDelta: 100 } });
    expect(never.result.steps).toBe(3);
  });

  it.each([
    [{ evaluateEvery: 2 }, {}, 'The task holds no data out, so evaluateEvery'],
    [{ loadBest: true }, {}, 'The task holds no data out'],
    [{ evaluateEvery: 0 }, held, 'evaluateEvery must be a number of steps, or epoch, but it is 0.'],
    [{ earlyStopping: { patience: 0 } }, held, 'earlyStopping.patience must be a whole number'],
    [{ earlyStopping: { patience: 1, minDelta: -1 } }, held, 'earlyStopping.minDelta must be a number of at least 0'],
  ])('refuses %j', async (options, task, message) => {
    await expect(run(task, options)).rejects.toThrow(message);
  });

  it.each([
    [{ lr: {} }, 'lr must be a number above 0, but it is an object.'],
    [{ seed: 2 ** 32 }, 'seed must be a whole number from 0 to 4294967295, but it is 4294967296.'],
    [{ onBadLoss: 'back-off' }, 'onBadLoss must be one of stop, skip, backoff, but it is "back-off". Did you mean "backoff"?'], // prettier-ignore
    [{ ema: 0.99 }, 'ema must be true or false'],
    [{ ema: { decay: 1 } }, 'ema.decay must be a number from 0 to below 1, such as 0.999, but it is 1.'],
    [{ clip: { nrom: 1 } }, 'clip has no option "nrom".'],
    [{ transformations: [clip({ norm: 1 })] }, 'transformations must be a list of transformations, each with its own name, which is not clip or ema, but it is an object.'], // prettier-ignore
    [{ transformations: 'noise' }, 'transformations must be a list'],
    [{ checkpoints: 'runs' }, 'checkpoints must be an object with folder, every, keep, overwrite, but it is "runs".'],
    [{ checkpoints: { every: 3 } }, 'checkpoints.folder must be text, but it is undefined.'],
    [{ cachePrefix: true }, "cachePrefix must be 'auto', false, or an object with bytes, but it is true."],
    [{ stopAfter: 1.5 }, 'stopAfter must be a whole number of at least 1, or a part of all steps below 1, but it is 1.5.'], // prettier-ignore
  ])('refuses %j', async (options, message) => {
    await expect(run({}, options as never)).rejects.toThrow(message);
  });

  it('says which metrics there are', async () => {
    await expect(run(held, { evaluateEvery: 1, metric: 'accuracy' })).rejects.toThrow(
      'The task gives no metric "accuracy". There are mse, negative: name one of them',
    );
  });
});

describe('a loss that is not a number', () => {
  const poisoned = { poisoned: [7] };

  it('ends the run, says which examples the batch held, and moves nothing', async () => {
    const run = await train(model, { ...settings, task: tinyTask(poisoned) });
    const failure = (await run.done.catch((error: unknown) => error)) as Error;
    expect(failure).toMatchObject({ code: 'LOSS_NOT_FINITE' });
    expect(failure.message).toMatch(
      /^Step \d: The loss became NaN\. .* The batch held the examples (\d+ \(row-\d+\.txt\)(, | and )?)+(\d+ more)?\.$/,
    );
    expect(failure.message).toMatch(/ and 5 more\.$/);
  });

  it('is skipped, once an epoch, and the rest is learned as if it had not been', async () => {
    const told = await run(poisoned, { onBadLoss: 'skip' });
    const skipped = ofType(told, 'skipped');
    expect(skipped).toHaveLength(2);
    for (const { examples, inARow, step } of skipped) {
      expect(examples).toContain(7);
      expect(inARow).toBe(1);
      expect(ofType(told, 'step').map((event) => event.step)).not.toContain(step);
    }
    expect(told.result).toMatchObject({ skippedSteps: 2, steps: 10 });
    expect(bytesOf(told.result.adapter)).not.toContain('NaN');
    // Rates are those of the schedule.
    for (const { step, lr } of ofType(told, 'step')) expect(lr).toBeCloseTo(1e-2 * (1 - (step - 1) / 10), 10);
  });

  it('halves the rate from then on', async () => {
    const told = await run(poisoned, { onBadLoss: 'backoff', schedule: 'constant' });
    let factor = 1;
    for (const event of told.events) {
      if (event.type === 'skipped') factor /= 2;
      else if (event.type === 'step') expect(event.lr).toBeCloseTo(1e-2 * factor, 10);
    }
    expect(factor).toBe(0.25);
  });

  it('ends the run when it does not go away', async () => {
    const all = { poisoned: Array.from({ length: 40 }, (_, i) => i) };
    await expect(run(all, { onBadLoss: 'skip', maxBadLosses: 3 })).rejects.toThrow(
      /^Step 3: .* It was so for 3 steps in a row, as many as maxBadLosses allows\./,
    );
  });
});

describe('an example that cannot be loaded', () => {
  it('ends the run, naming its file', async () => {
    await expect(run({ bad: [7] })).rejects.toThrow('"row-7.txt" is no row.');
  });

  it('is left out, told once and counted', async () => {
    const told = await run({ bad: [7, 9] }, { onBadSample: 'skip', steps: 15 });
    const bad = ofType(told, 'badSample');
    expect(bad.map(({ example }) => example).sort((a, b) => a - b)).toEqual([7, 9]);
    expect(bad.map(({ count }) => count)).toEqual([1, 2]);
    expect(bad.find(({ example }) => example === 7)).toMatchObject({ message: '"row-7.txt" is no row.' });
    expect(told.result.badSamples).toBe(2);
    expect(told.losses).toHaveLength(15);
  });

  it('ends the run where a batch holds no other', async () => {
    const all = { bad: Array.from({ length: 40 }, (_, i) => i) };
    await expect(run(all, { onBadSample: 'skip' })).rejects.toThrow(
      /^None of the 8 examples of a batch can be loaded\. The first: "row-\d+\.txt" is no row\./,
    );
  });
});

describe('memory that runs out', () => {
  /** Fails as ONNX Runtime does, on loading or on the second run. */
  const failing = (when: 'load' | 'run'): Runtime => ({
    async createSession(source, options) {
      const words = 'Failed to allocate memory for requested buffer of size 8589934592';
      if (when === 'load') throw new Error(words);
      const session = await new OrtRuntime().createSession(source, options);
      let runs = 0;
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        provider: session.provider,
        run: (feeds) => (runs++ > 0 ? Promise.reject(new Error(words)) : session.run(feeds)),
        release: () => session.release(),
      };
    },
  });

  it.each([
    ['load', /^Memory has run out/],
    ['run', /^Step 2: Memory has run out/],
  ] as const)('on %s says what to lower, in numbers', async (when, start) => {
    const broken = await openModel(file, { runtime: failing(when) });
    const failure = (await run({}, {}, broken).catch((error: unknown) => error)) as Error;
    expect(failure).toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(failure.message).toMatch(start);
    expect(failure.message).toMatch(
      /A step computes 8 examples at a time, whose forward values take up to \d\.\d MB \(\d\.\d MB each\), beside \d\.\d MB of weights\. Lower batchSize \(--batch-size\) from 8 to 4/,
    );
  });
});

describe('checkpoints', () => {
  const every = (place: string, n = 2): Partial<TrainOptions> => ({ checkpoints: { folder: place, every: n } });

  it('are PEFT folders, the latest three of them', async () => {
    const place = newFolder();
    const told = await run({}, every(place));
    expect(readdirSync(place).sort()).toEqual(['step-10', 'step-6', 'step-8']);
    expect(ofType(told, 'checkpoint').map(({ step }) => step)).toEqual([2, 4, 6, 8, 10]);
    expect(bytesOf(await loadAdapter(path.join(place, 'step-10')))).toBe(bytesOf(told.result.adapter));
    const shorter = await run({}, { schedule: 'constant', steps: 8 });
    const constant = newFolder();
    await run({}, { schedule: 'constant', ...every(constant) });
    expect(bytesOf(await loadAdapter(path.join(constant, 'step-8')))).toBe(bytesOf(shorter.result.adapter));
  });

  it('are continued from as if nothing had happened, also with batches loaded ahead', async () => {
    const expected = await run();
    const place = newFolder();
    await run({}, { ...every(place), checkpoints: { folder: place, every: 2, keep: 9 } });
    for (const step of [2, 6, 10]) {
      const again = await run({ delay: 2 }, { resume: path.join(place, `step-${step}`), prefetch: 5 });
      expect(again.losses).toEqual(expected.losses.slice(step));
      expect(bytesOf(again.result.adapter)).toBe(bytesOf(expected.result.adapter));
      expect(again.result).toMatchObject({ steps: 10, loss: expected.result.loss });
    }
  });

  it.each(['balanced', 'length'] as const)(
    'are continued from with the same draws, where examples are random and sampling is %s',
    async (sampling) => {
      const draws: string[] = [];
      const onGet = (index: number, draw: number | undefined): void => void draws.push(`${draw}: ${index}`);
      const task = {
        isNoisy: true,
        delay: 1,
        onGet,
        weights: Array.from({ length: 40 }, (_, i) => (i < 10 ? 1 : 1 / 3)),
        lengths: Array.from({ length: 40 }, (_, i) => (i * 7) % 40),
      };
      const place = newFolder();
      const options = { sampling };
      const expected = await run(task, { ...options, checkpoints: { folder: place, every: 1, keep: 99 } });
      const all = draws.splice(0);
      expect(all).toHaveLength(80);
      for (const step of [1, 4, 9]) {
        const again = await run(task, { ...options, resume: path.join(place, `step-${step}`), prefetch: 3 });
        expect(draws.splice(0)).toEqual(all.slice(step * 8));
        expect(again.losses).toEqual(expected.losses.slice(step));
        expect(bytesOf(again.result.adapter)).toBe(bytesOf(expected.result.adapter));
      }
      // The draws count: without noise, and with another order, it is another run.
      expect((await run({ ...task, isNoisy: false }, options)).losses).not.toEqual(expected.losses);
      await expect(run(task, { resume: place })).rejects.toThrow(/sampling was (?:length )?\w{16} and is not set/);
    },
  );

  it('are continued from with what frozen layers gave computed again', async () => {
    const task = { isDeterministic: true, rows: 12, delay: 1 };
    const options = { lora: { r: 4, targetModules: ['fc2'] }, batchSize: 5, steps: 12 };
    const place = newFolder();
    const expected = await run(task, { ...options, checkpoints: { folder: place, every: 1, keep: 99 } });
    expect((await train(model, { ...settings, ...options, task: tinyTask(task) })).prefix).toMatchObject({
      kept: true,
    });
    for (const step of [1, 4, 7, 11]) {
      const again = await run(task, { ...options, resume: path.join(place, `step-${step}`) });
      expect(again.losses).toEqual(expected.losses.slice(step));
      expect(bytesOf(again.result.adapter)).toBe(bytesOf(expected.result.adapter));
    }
  });

  it('of a stopped run hold its last step', async () => {
    const place = newFolder();
    const stopped = await train(model, { ...settings, task: tinyTask(), ...every(place, 100) });
    for await (const event of stopped) if (event.step === 3) stopped.stop();
    const { steps } = await stopped.done;
    expect(readdirSync(place)).toEqual([`step-${steps}`]);
    const rest = await run({}, { resume: true, ...every(place) });
    expect(bytesOf(rest.result.adapter)).toBe(bytesOf((await run()).result.adapter));
  });

  it('of a failed run hold what was reached before', async () => {
    const place = newFolder();
    // Row 7 is in the second batch.
    await expect(run({ poisoned: [7] }, every(place, 100))).rejects.toThrow('The loss became NaN');
    const [name] = readdirSync(place);
    expect(name).toMatch(/^step-\d$/);
    const rest = await run({}, { resume: place });
    expect(bytesOf(rest.result.adapter)).toBe(bytesOf((await run()).result.adapter));
  });

  it('that are damaged are passed over', async () => {
    const place = newFolder();
    const expected = await run({}, every(place));
    const state = path.join(place, 'step-10/training_state.safetensors');
    const bytes = readFileSync(state);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(state, bytes);
    rmSync(path.join(place, 'step-8/adapter_model.safetensors'));
    const again = await run({}, { resume: place });
    expect(again.losses).toEqual(expected.losses.slice(6));
    const warnings = ofType(again, 'warning').map(({ message }) => message);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain(
      `"${path.join(place, 'step-10')}" is no complete checkpoint: "training_state.safetensors" is not as it was written`,
    );
    expect(warnings[1]).toContain('"adapter_model.safetensors" cannot be read');
    // Damaged ones are not among those that are kept.
    await run({}, { resume: true, checkpoints: { folder: place, every: 2, keep: 1 }, steps: 10 });
    expect(readdirSync(place)).toEqual(['step-10']);
    writeFileSync(path.join(place, 'step-10/state.json'), '{"format":');
    await expect(run({}, { resume: place })).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });

  it('of which state.json is damaged, in whatever digit, are passed over; those of the first format have no digest', async () => {
    const place = newFolder();
    const expected = await run({}, every(place));
    const file = path.join(place, 'step-10/state.json');
    const text = readFileSync(file, 'utf8');
    const state = JSON.parse(text) as { digest: string; version: number };
    const digits = [...text.matchAll(/\d/g)].map(({ index }) => index);
    for (let i = 0; i < digits.length; i += Math.ceil(digits.length / 25)) {
      const at = digits[i]!;
      const damaged = `${text.slice(0, at)}${(Number(text[at]) + 1) % 10}${text.slice(at + 1)}`;
      // Another 18th digit is the same number.
      if (JSON.stringify(JSON.parse(damaged)) === JSON.stringify(JSON.parse(text))) continue;
      writeFileSync(file, damaged);
      const found = (await latestCheckpoint(place))!;
      expect([found.step, found.passedOver[0]], text.slice(at - 20, at + 1)).toEqual([8, expect.stringContaining(`"${path.join(place, 'step-10')}" is no complete checkpoint`)]); // prettier-ignore
    }
    const again = await run({}, { resume: place });
    expect(again.losses).toEqual(expected.losses.slice(8));
    expect(ofType(again, 'warning')[0]!.message).toMatch(/state\.json" is not as it was written|version/);
    const { digest: _, ...first } = { ...state, version: 1 };
    writeFileSync(file, JSON.stringify(first));
    expect((await latestCheckpoint(place))!.step).toBe(10);
  });

  it('half written are never chosen, and are cleaned up', async () => {
    const place = newFolder();
    await run({}, every(place));
    mkdirSync(path.join(place, '.step-12.0123456789ab.tmp'));
    writeFileSync(path.join(place, '.step-12.0123456789ab.tmp/state.json'), '');
    await run({}, { resume: true, ...every(place) });
    expect(readdirSync(place).sort()).toEqual(['step-10', 'step-6', 'step-8']);
  });

  it('of another run are refused, saying what differs', async () => {
    const place = newFolder();
    await run({}, every(place));
    const resume = place;
    await expect(run({}, { resume, batchSize: 4, lr: 0.5 })).rejects.toThrow(
      `The checkpoint "${path.join(place, 'step-10')}" belongs to another run: batchSize was 8 and is 4. Resume with the settings that the run began with, but for those that may change (steps, epochs, lr,`,
    );
    await expect(run({}, { resume, lora: { ...settings.lora, r: 2 } })).rejects.toThrow('adapter r was 4 and is 2');
    await expect(run({ rows: 39 }, { resume })).rejects.toThrow('examples was 40 and is 39');
    await expect(run({}, { resume, optimizer: 'sgd' })).rejects.toThrow('optimizer was adamw and is sgd');
    const other = path.join(folder, 'other.onnx');
    writeOnnx(other, mlp(scaled).model);
    await expect(run({}, { resume }, await openModel(other))).rejects.toThrow('was trained on another base');
    const others = 'holds checkpoints of an earlier run. Continue from them';
    await expect(run({}, every(place))).rejects.toThrow(others);
    const elsewhere = newFolder();
    await run({}, every(elsewhere));
    await expect(run({}, { resume, ...every(elsewhere) })).rejects.toThrow(others);
    await expect(run({}, { resume: newFolder() })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(run({}, { resume: true })).rejects.toThrow('checkpoints.folder, but that is missing');
    // Nothing there yet is no reason to fail.
    expect((await run({}, { resume: true, ...every(newFolder()) })).losses).toHaveLength(10);
    // Replaced on request.
    await run({}, { steps: 3, checkpoints: { folder: place, overwrite: true } });
    expect(readdirSync(place)).toEqual(['step-3']);
  });

  it('an optimizer without its functions is refused', async () => {
    const optimizer = { name: 'mine', weightDecay: 0, update: () => undefined } as unknown as Optimizer;
    await expect(run({}, { optimizer })).rejects.toThrow('The optimizer "mine" has no function init.');
  });

  it('that cannot be written do not end the run', async () => {
    const place = newFolder();
    const training = await train(model, { ...settings, task: tinyTask(), ...every(place, 4) });
    // A file where the folder was: refused to everybody, also to those who may write anywhere.
    rmSync(place, { recursive: true });
    writeFileSync(place, '');
    const events: TrainEvent[] = [];
    for await (const event of training) events.push(event);
    const told = { events, result: await training.done, losses: [] };
    const warnings = ofType(told, 'warning');
    expect(warnings.map(({ message }) => message)).toEqual(
      [4, 8, 10].map(
        (step) =>
          expect.stringMatching(
            `^The checkpoint of step ${step} is not written, and the training continues: .*${path.basename(place)}`,
          ) as string,
      ),
    );
    expect(bytesOf(told.result.adapter)).toBe(bytesOf((await run()).result.adapter));
  });

  it('that can never be written are refused before the first step', async () => {
    const place = newFolder();
    writeFileSync(place, '');
    await expect(train(model, { ...settings, task: tinyTask(), ...every(place, 4) })).rejects.toThrow(
      `"${place}" could not be written`,
    );
  });

  it('written before stay when the disk fills up, and are continued from', async () => {
    const place = newFolder();
    const files = createRequire(import.meta.url)('node:fs/promises') as { open: typeof open };
    const original = files.open;
    let opened = 0;
    files.open = async (...words) => {
      const handle = await original(...words);
      // Five files of the first checkpoint, and the folders that are flushed with it.
      if (words[1] === 'wx' && opened++ >= 4) {
        handle.writeFile = () =>
          Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
      }
      return handle;
    };
    syncBuiltinESMExports();
    let told: Told;
    try {
      told = await run({}, every(place, 4));
    } finally {
      files.open = original;
      syncBuiltinESMExports();
    }
    expect(ofType(told, 'checkpoint').map(({ step }) => step)).toEqual([4]);
    const warnings = ofType(told, 'warning').map(({ message }) => message);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toBe(
      `The checkpoint of step 8 is not written, and the training continues: "${path.join(place, 'step-8')}" could not be written: ENOSPC: no space left on device, write. Check the path, its rights and the free space. Earlier checkpoints are unchanged.`,
    );
    // Nothing half written is left.
    expect(readdirSync(place)).toEqual(['step-4']);
    const rest = await run({}, { resume: place });
    expect(bytesOf(rest.result.adapter)).toBe(bytesOf(told.result.adapter));
  });
});

/** The layer's weight, a little larger. */
function scaled(layer: string): ReturnType<typeof golden> {
  const { data, dims } = golden(`base.${layer}.weight`);
  return float32(
    (data as Float32Array).map((value) => 1.5 * value),
    dims,
  );
}

/** Another value of an option, and what the run began with where that is not enough. */
type Later = readonly [value: unknown, begun?: Partial<TrainOptions>];

/** A value that the row of an option takes, and that is not its default. */
function otherValue({ kind, of = [], min = 1, default: usual }: AnyOptionRow): unknown {
  if (kind === 'choice') return of.find((word) => word !== usual);
  if (kind === 'flag') return usual !== true;
  if (kind === 'number') return typeof usual === 'number' ? 2 * usual + 1 : min + 1;
  throw new Error('Give another value of this option.');
}

it('takes transformations of your own as it takes those of options', async () => {
  const own = await run({}, { transformations: [{ ...clip({ norm: 0.01 }), name: 'own' }] });
  expect(bytesOf(own.result.adapter)).toBe(bytesOf((await run({}, { clip: { norm: 0.01 } })).result.adapter));
  expect(bytesOf(own.result.adapter)).not.toBe(bytesOf((await run()).result.adapter));
});

describe('an option that is another when a run continues', () => {
  const lengths = Array.from({ length: 40 }, (_, i) => 1 + (i % 7));
  const task = tinyTask({ held: 8, lengths });
  /** Values that no row gives, and those that this run does not begin with. */
  const values: Partial<Record<keyof TrainOptions, Later>> = {
    task: [tinyTask({ held: 8, lengths, rows: 39 })],
    lora: [{ ...settings.lora, r: 2 }],
    from: [undefined],
    steps: [12],
    stopAfter: [0.5],
    batchSize: [4],
    optimizer: ['sgd'],
    groups: [[{ match: () => true, lr: 1e-3 }]],
    clip: [{ norm: 1 }],
    transformations: [[{ name: 'none' }]],
    sampling: ['length'],
    batchLength: [20, { sampling: 'length' }],
    initBatches: [1, { lora: { ...settings.lora, initLoraWeights: 'eva' } }],
    metric: [{ name: 'negative', better: 'higher' }],
    earlyStopping: [{ patience: 3 }],
    checkpoints: [{ folder: newFolder(), every: 3 }],
    cachePrefix: [false],
    memory: [2 ** 30],
    provider: ['auto'],
    onBegin: [() => undefined],
    signal: [new AbortController().signal],
    exchange: [
      { computes: () => true, exchange: (_: number, own: ReadonlyMap<number, unknown>) => Promise.resolve(own.get(0)) },
    ],
  };
  const names = (Object.keys(trainOptionRows) as (keyof TrainOptions)[]).filter((name) => name !== 'resume');
  const places = new Map<Partial<TrainOptions> | undefined, string>();
  const placeOf = async (begun?: Partial<TrainOptions>): Promise<string> => {
    if (!places.has(begun)) {
      const place = newFolder();
      const { done } = await train(model, {
        ...settings,
        task,
        steps: 4,
        ...begun,
        checkpoints: { folder: place, every: 2 },
      });
      await done;
      places.set(begun, place);
    }
    return places.get(begun)!;
  };

  it.each(names.map((name) => [name, trainOptionRows[name].onResume!] as const))('%s: %s', async (name, rule) => {
    const [value, begun] = values[name] ?? [otherValue(trainOptionRows[name])];
    const resume = await placeOf(begun);
    const changed = name === 'from' ? await loadAdapter(path.join(resume, 'step-2')) : value;
    const left: Partial<Record<keyof TrainOptions, undefined>> = { epochs: { steps: undefined }, from: { lora: undefined } }[name as string] ?? {}; // prettier-ignore
    const wanted = Object.entries({ ...settings, task, steps: 4, ...begun, ...left, resume, [name]: changed });
    const going = train(model, Object.fromEntries(wanted.filter(([, each]) => each !== undefined)) as never);
    if (rule === 'fixed') return expect(going).rejects.toThrow(/belongs to another run: .* was .* and is /);
    const { firstStep, stop, done } = await going.then((each) => ({ firstStep: each.firstStep, stop: () => each.stop(), done: each.done })); // prettier-ignore
    stop();
    await done;
    return expect(firstStep).toBe(4);
  });
});
