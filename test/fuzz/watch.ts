/** @file Runs a target in a thread of its own and stops it when it hangs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Failure, limits, type TargetReport, type WorkOrder, type WorkReport } from './report.ts';

/** Order to run a target. */
export interface RunOrder {
  readonly target: string;
  readonly count: number;
  readonly seed: number;
  readonly root: string;
  /** The compiled `worker.ts`. */
  readonly worker: URL;
}

/** After so many, more of them say nothing new. */
const MAX_FAILURES = 20;
/** Room for V8's own needs; a file that takes more has broken the limits. */
const HEAP_MEGABYTES = 512;
/** However busy the machine is, an input that waits for something takes longer than this. */
const MAX_WALL_SECONDS = 60;

/** Parses `count` damaged files, and continues behind one that hangs. */
export async function fuzzTarget({ target, count, seed, root, worker }: RunOrder): Promise<TargetReport> {
  const start = performance.now();
  const failures: Failure[] = [];
  const sum: WorkReport = { accepted: 0, refused: 0, mostAllocated: 0, mostHeap: 0, codes: {} };
  for (let from = 0; from < count && failures.length < MAX_FAILURES;) {
    const folder = mkdtempSync(path.join(tmpdir(), `onnx-lora-fuzz-${target}-`));
    const progress = new Int32Array(new SharedArrayBuffer(4));
    Atomics.store(progress, 0, from);
    try {
      const found = await runOnce({ target, root, folder, seed, from, to: count, limits, progress }, worker, failures);
      if (found) add(sum, found);
      from = found ? count : Atomics.load(progress, 0) + 1;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { target, ...sum, failures, seconds: (performance.now() - start) / 1000 };
}

/** Undefined when the thread had to be stopped, or broke down; why is among the failures then. */
function runOnce(order: WorkOrder, file: URL, failures: Failure[]): Promise<WorkReport | undefined> {
  const worker = new Worker(file, {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  return new Promise((resolve) => {
    let report: WorkReport | undefined;
    const failed = (reason: string): void => {
      failures.push({ index: Atomics.load(order.progress, 0), reason });
      if (failures.length >= MAX_FAILURES) void worker.terminate();
    };
    let seen = -1;
    let [cpu, wall] = [process.cpuUsage(), performance.now()];
    const timer = setInterval(() => {
      const now = Atomics.load(order.progress, 0);
      if (now !== seen) [seen, cpu, wall] = [now, process.cpuUsage(), performance.now()];
      const { user, system } = process.cpuUsage(cpu);
      const isSlow = (user + system) / 1e6 > order.limits.seconds;
      if (!isSlow && performance.now() - wall < MAX_WALL_SECONDS * 1000) return;
      clearInterval(timer);
      failed(`took more than ${order.limits.seconds} seconds`);
      void worker.terminate();
    }, 50);
    worker.on('message', (message: WorkReport | Failure) => {
      if ('reason' in message) failures.push(message);
      else report = message;
      if (failures.length >= MAX_FAILURES) void worker.terminate();
    });
    worker.on('error', (error: Error) => failed(`ended the thread: ${error.stack ?? String(error)}`));
    worker.on('exit', () => {
      clearInterval(timer);
      resolve(report);
    });
  });
}

function add(sum: WorkReport, found: WorkReport): void {
  sum.accepted += found.accepted;
  sum.refused += found.refused;
  sum.mostAllocated = Math.max(sum.mostAllocated, found.mostAllocated);
  sum.mostHeap = Math.max(sum.mostHeap, found.mostHeap);
  for (const [code, times] of Object.entries(found.codes)) sum.codes[code] = (sum.codes[code] ?? 0) + times;
}
