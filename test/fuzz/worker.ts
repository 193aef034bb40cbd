/** @file The thread that parses: it is stopped from outside when an input takes too long. */

import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { allocations, countAllocations, resetAllocations } from './allocations.ts';
import type { Failure, WorkOrder, WorkReport } from './report.ts';

// Modules loaded from here on are counted.
countAllocations();
const { Random } = await import('@onnx-lora/sdk/data');
const { OnnxLoraError } = await import('@onnx-lora/sdk');
const { makeTarget } = await import('./targets.ts');
const { inputOf } = await import('./input.ts');

const { target: name, root, folder, seed, from, to, limits, progress } = workerData as WorkOrder;
const target = makeTarget(name, root, folder);
const { room = 0 } = target;
/** Below so many bytes the constant part counts most, and a ratio says nothing. */
const SMALL = 4096;
const report: WorkReport = { accepted: 0, refused: 0, mostAllocated: 0, mostHeap: 0, codes: {} };

for (let i = from; i < to; i++) {
  const bytes = inputOf(target, Random, seed, i);
  Atomics.store(progress, 0, i);
  const heapBefore = heap();
  resetAllocations();
  let failure: Failure['reason'] | undefined;
  try {
    await target.run(bytes);
    report.accepted++;
  } catch (error) {
    if (error instanceof OnnxLoraError) {
      report.refused++;
      report.codes[error.code] = (report.codes[error.code] ?? 0) + 1;
    } else failure = `threw ${(error as Error).stack ?? String(error)}`;
  }
  const { total, largest } = allocations();
  const grown = heap() - heapBefore;
  const size = Math.max(bytes.length, SMALL);
  report.mostAllocated = Math.max(report.mostAllocated, total / size);
  report.mostHeap = Math.max(report.mostHeap, grown / size);
  if (total > limits.allocated.perByte * bytes.length + limits.allocated.constant + room) {
    failure ??= `asked for ${total} bytes of arrays (${largest} at once), with a file of ${bytes.length}`;
  }
  if (grown > limits.heap.perByte * bytes.length + limits.heap.constant + room) {
    failure ??= `took ${grown} bytes of heap, with a file of ${bytes.length}`;
  }
  if (failure !== undefined) parentPort!.postMessage({ index: i, reason: failure } satisfies Failure);
}
parentPort!.postMessage(report);

/** Bytes of objects and of buffers, rubbish included. */
function heap(): number {
  const { used_heap_size: objects, external_memory: buffers } = getHeapStatistics();
  return objects + buffers;
}
