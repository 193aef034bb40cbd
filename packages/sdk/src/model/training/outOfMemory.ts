/** @file Detects out-of-memory errors and advises what to lower. */

import { OnnxLoraError } from '../../errors.ts';
import type { MemoryPlan } from '../../train/step/stepRequest.ts';

/** Messages of ONNX Runtime, C++, V8 and operating systems. */
const words =
  /bad_alloc|failed to allocate|out of memory|not enough memory|array buffer allocation failed|ENOMEM|allocation failed/i;

function isOutOfMemory(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) if (words.test(each.message)) return true;
  return false;
}

/** An `OUT_OF_MEMORY` error with advice if memory ran out, else the error itself. */
export function memoryFailure(error: unknown, plan: MemoryPlan | undefined): unknown {
  if (!isOutOfMemory(error)) return error;
  return new OnnxLoraError(
    'OUT_OF_MEMORY',
    `Memory has run out (${(error as Error).message.replace(/[.\s]+$/, '')}). ${plan ? advice(plan) : 'Lower batchSize (--batch-size).'}`,
    { cause: error },
  );
}

function advice({ batchRows, rows, forwardBytes, weightBytes }: MemoryPlan): string {
  const needs = `A step computes ${rows} ${rows === 1 ? 'example' : 'examples'} at a time, whose forward values take up to ${size(forwardBytes)} (${size(forwardBytes / rows)} each), beside ${size(weightBytes)} of weights.`;
  if (rows > 1) {
    const lower = Math.floor(rows / 2);
    return `${needs} Lower batchSize (--batch-size) from ${batchRows} to ${lower}, which takes about ${size((forwardBytes * lower) / rows)}, with accumulationSteps (--accumulation-steps) to make up for it; or set memory (--memory) below ${size(forwardBytes)}, and more is computed again.`;
  }
  return `${needs} Set memory (--memory) below ${size(forwardBytes)}, and more is computed again; or take smaller or shorter examples, or adapt later layers only.`;
}

function size(bytes: number): string {
  const [value, unit] = bytes >= 2 ** 30 ? [bytes / 2 ** 30, 'GB'] : [bytes / 2 ** 20, 'MB'];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
