/** @file Sessions in a worker thread: the same results, a free event loop, cancelling, refusing, ending. */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Worker } from 'node:worker_threads';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { inferNode } from '../../ops/infer.ts';
import { OrtRuntime } from '../ort.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from '../session.ts';
import { float32, int64, type Tensor } from '../tensor.ts';
import { WorkerRuntime } from './workerRuntime.ts';

/** y = x · x · … , `products` times, for x `[n, n]`: long enough to watch. */
function powers(products: number): SessionSource {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'n/' });
  const x: Value = { name: 'x', type: 'float32', shape: ['n', 'n'] };
  let y = x;
  for (let i = 0; i < products; i++) y = g.MatMul(y, x);
  return { ...sessionModel(modelFrom(g, [x], [y])), name: 'powers.onnx' };
}

/** y = x + b, where b may be kept. */
function sum(): SessionSource {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'n/' });
  const [x, b]: Value[] = ['x', 'b'].map((name) => ({ name, type: 'float32', shape: ['n'] }));
  const y = g.Add(x!, b!);
  return { ...sessionModel(modelFrom(g, [x!, b!], [y])), name: 'sum.onnx' };
}

async function open(
  source: SessionSource,
  options: SessionOptions = {},
  runtime: Runtime = new WorkerRuntime(),
): Promise<Session> {
  const session = await runtime.createSession(source, { provider: 'cpu', ...options });
  onTestFinished(() => session.release());
  return session;
}

function ones(n: number): Tensor {
  return float32(new Float32Array(n * n).fill(1 / n), [n, n]);
}

/** A run of a good second in which other runs can be asked for. */
const long = { source: powers(30), feeds: { x: ones(768) } };
const first = (outputs: Record<string, Tensor>): Tensor => Object.values(outputs)[0]!;

describe('results', () => {
  it('are those of a session in place, and inputs stay usable', async () => {
    const x = float32([1, 2, 3, 4], [2, 2]);
    const worker = await open(powers(2));
    const inPlace = await open(powers(2), {}, new OrtRuntime());
    for (let i = 0; i < 2; i++) expect(await worker.run({ x })).toEqual(await inPlace.run({ x }));
    // [[1, 2], [3, 4]]³
    expect([...first(await worker.run({ x })).data]).toEqual([37, 54, 81, 118]);
    expect([...x.data]).toEqual([1, 2, 3, 4]);
  });

  it('come of a part of a larger buffer, and of shared memory', async () => {
    const session = await open(sum());
    const part = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([10, 20]);
    const outputs = await session.run({ x: float32(part, [2]), b: float32(shared, [2]) });
    expect([...first(outputs).data]).toEqual([11, 22]);
  });

  it('of sessions that share the thread do not mix', async () => {
    const runtime = new WorkerRuntime();
    const [cube, plus] = [await open(powers(2), {}, runtime), await open(sum(), {}, runtime)];
    const x = float32([2], [1, 1]);
    const [a, b] = await Promise.all([cube.run({ x }), plus.run({ x: float32([2], [1]), b: float32([5], [1]) })]);
    expect([first(a).data[0], first(b).data[0]]).toEqual([8, 7]);
  });
});

describe('the event loop', () => {
  /** How many turns the event loop takes while `work` runs. */
  async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
    let turns = 0;
    const count = (): void => {
      turns++;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    await work();
    clearImmediate(next);
    return turns;
  }

  it('continues during a run, which blocks it in place', async () => {
    const worker = await open(long.source, { threads: 1 });
    const inPlace = await open(long.source, { threads: 1 }, new OrtRuntime());
    expect(await turnsDuring(() => worker.run(long.feeds))).toBeGreaterThan(100);
    // Those before and after the one turn in which it computes.
    expect(await turnsDuring(() => inPlace.run(long.feeds))).toBeLessThan(10);
  });
});

describe('kept tensors', () => {
  it.each<[string, Runtime]>([
    ['in a worker', new WorkerRuntime()],
    ['in place', new OrtRuntime()],
  ])('%s are read by many runs, until they are released', async (_, runtime) => {
    const session = await open(sum(), {}, runtime);
    const kept = session.bind!({ b: float32([10, 20], [2]) });
    const x = float32([1, 2], [2]);
    for (let i = 0; i < 2; i++)
      expect([...first(await session.run({ x }, undefined, { bound: [kept] })).data]).toEqual([11, 22]);
    // Runs requested before the release still read the tensor.
    const [run, queued] = [
      session.run({ x }, undefined, { bound: [kept] }),
      session.run({ x }, undefined, { bound: [kept] }),
    ];
    kept.release();
    for (const each of [run, queued]) expect([...first(await each).data]).toEqual([11, 22]);
    await expect(session.run({ x })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: '"sum.onnx" needs the input "b". It takes x, b; given were x.',
    });
  });
});

describe('a signal', () => {
  it('abandons the run that computes, and drops one that waits', async () => {
    const session = await open(long.source, { threads: 1 });
    const [running, waiting] = [new AbortController(), new AbortController()];
    const ends: string[] = [];
    const noted = <T>(name: string, run: Promise<T>): Promise<T> => run.finally(() => ends.push(name));
    const computes = noted('abandoned', session.run(long.feeds, undefined, { signal: running.signal }));
    const waits = noted('dropped', session.run(long.feeds, undefined, { signal: waiting.signal }));
    const last = noted('last', session.run({ x: float32([2], [1, 1]) }));
    await setTimeout(20);
    waiting.abort();
    await expect(waits).rejects.toMatchObject({ code: 'CANCELLED', message: 'The run of "powers.onnx" was cancelled by its signal.' }); // prettier-ignore
    running.abort(new Error('the client is gone'));
    await expect(computes).rejects.toMatchObject({ code: 'CANCELLED', cause: { message: 'the client is gone' } });
    expect(first(await last).data[0]).toBe(2 ** 31);
    // Neither waited for what ONNX Runtime still computes.
    expect(ends).toEqual(['dropped', 'abandoned', 'last']);
  });

  it('that has been given already is refused', async () => {
    const session = await open(sum());
    const feeds = { x: float32([1], [1]), b: float32([1], [1]) };
    await expect(session.run(feeds, undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });
});

describe('maxQueue', () => {
  it('refuses a run when so many wait, and takes it later', async () => {
    const session = await open(long.source, { maxQueue: 1 });
    const small = { x: float32([2], [1, 1]) };
    const [computes, waits] = [session.run(long.feeds), session.run(small)];
    await expect(session.run(small)).rejects.toMatchObject({
      code: 'OVERLOADED',
      message:
        '"powers.onnx" is overloaded: one run computes and 1 wait, as many as maxQueue allows. Try again later, or raise maxQueue.',
    });
    await Promise.all([computes, waits]);
    expect(first(await session.run(small)).data[0]).toBe(2 ** 31);
  });
});

describe('errors', () => {
  it('keep their code and message', async () => {
    const runtime = new WorkerRuntime();
    const source = { bytes: Uint8Array.of(1, 2, 3), name: 'broken.onnx' };
    const inPlace = await new OrtRuntime().createSession(source, { provider: 'cpu' }).catch((error: unknown) => error);
    await expect(runtime.createSession(source, { provider: 'cpu' })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: (inPlace as Error).message,
    });
    const session = await open(powers(1), {}, runtime);
    await expect(session.run({ x: float32([1, 2], [1, 2]) })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringMatching(/^ONNX Runtime failed on "powers\.onnx": .*MatMul/) as string,
    });
    await expect(session.run({ x: int64([1], [1, 1]) })).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
    // And the session still works.
    expect(first(await session.run({ x: float32([3], [1, 1]) })).data[0]).toBe(9);
  });

  it('of a thread that ends fail all that is pending, with a remedy', async () => {
    const runtime = new WorkerRuntime();
    const session = await open(long.source, {}, runtime);
    const runs = [session.run(long.feeds), session.run(long.feeds)];
    const outcomes = Promise.allSettled(runs);
    await setTimeout(20);
    runtime.terminate();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'RUNTIME_FAILED',
          message: expect.stringMatching(
            /^The worker thread of ONNX Runtime has ended: .*\. Make a new session/,
          ) as string,
        },
      });
    }
    await expect(session.run(long.feeds)).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
    // The runtime starts another thread.
    const again = await open(sum(), {}, runtime);
    expect(first(await again.run({ x: float32([1], [1]), b: float32([1], [1]) })).data[0]).toBe(2);
  });

  it('of a run after the release say so', async () => {
    const session = await open(sum());
    const feeds = { x: float32([1], [1]), b: float32([1], [1]) };
    const asked = session.run(feeds);
    await session.release();
    expect(first(await asked).data[0]).toBe(2);
    await expect(session.run(feeds)).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringContaining('"sum.onnx" has been released') as string,
    });
  });
});

describe('a thread', () => {
  it('that has no session left waits for the next, and ends where none comes', async () => {
    const workers: Worker[] = [];
    const count = (worker: Worker): void => void workers.push(worker);
    process.on('worker', count);
    const runtime = new WorkerRuntime();
    for (let i = 0; i < 3; i++) await (await open(sum(), {}, runtime)).release();
    process.off('worker', count);
    expect(workers.length).toBe(1);
    await new Promise((ended) => workers[0]!.once('exit', ended));
  });
});

describe('a process', () => {
  let folder = '';
  beforeAll(async () => {
    // Among the build's output, where it finds onnxruntime-node and git finds nothing.
    const dist = path.join(import.meta.dirname, '../../../dist');
    mkdirSync(dist, { recursive: true });
    folder = mkdtempSync(path.join(dist, 'worker-test-'));
    await build({
      configFile: false,
      logLevel: 'error',
      build: { ssr: path.join(import.meta.dirname, '../../../fixtures/oneRun.ts'), outDir: folder, minify: true },
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['releases its session', 'released', 0],
    ['forgets its session', 'forgotten', 0],
    ['exits during a run', 'exits', 7],
  ])('that %s ends by itself, also when it is one bundled file', async (_, fate, expected) => {
    const model = Buffer.from(powers(20).bytes).toString('base64');
    const run = promisify(execFile)(process.execPath, [path.join(folder, 'oneRun.js'), model, fate], {
      timeout: 30_000,
    });
    const { code, stdout, stderr } = await run.then(
      (done) => ({ code: 0, ...done }),
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
    expect({ code, stdout, stderr }).toEqual({ code: expected, stdout: '1\n', stderr: '' });
  });
});
