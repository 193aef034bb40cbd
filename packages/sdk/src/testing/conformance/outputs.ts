/** @file Comparing a run's outputs with the expected ones of a case. */

import type { Adapter } from '../../adapter/adapter.ts';
import { loadAdapter } from '../../model/loadAdapter.ts';
import type { Model } from '../../model/model.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import path from 'node:path';
import type { ConformanceCase } from './case.ts';
import { judge, notApplicable, type Outcome } from './check.ts';
import { compareTensors, tolerances, type Tolerance } from './compare.ts';

/** The adapter that the case starts from, as PEFT saved it. */
export async function caseAdapter({ folder }: ConformanceCase): Promise<Adapter> {
  return loadAdapter(path.join(folder, 'adapter'));
}

/** The tolerance for a quantity, or the case's own. */
export function toleranceOf({ relativeRms }: ConformanceCase, kind: keyof typeof tolerances): Tolerance {
  return relativeRms === undefined ? tolerances[kind] : { relativeRms };
}

/** Runs a model on the case's batch, with an adapter or without. */
export async function outputsOf(
  model: Model,
  subject: ConformanceCase,
  adapter?: Adapter,
): Promise<Record<string, Tensor>> {
  // One thread: the models are tiny, and sums come out in one order.
  const session = await model.session({ threads: 1, ...(adapter ? { adapters: { adapter } } : {}) });
  try {
    return await session.run(subject.feeds, { adapter: adapter ? 'adapter' : null });
  } finally {
    await session.release();
  }
}

/** Expected outputs, `<prefix>.<output>`, of a case; empty where it has none. */
export function expectedOutputs(subject: ConformanceCase, prefix: 'base' | 'lora' | 'trained'): Map<string, Tensor> {
  return new Map(
    subject.outputs.flatMap((output) => {
      const tensor = subject.expected.get(`${prefix}.${output}`);
      return tensor ? [[output, tensor] as const] : [];
    }),
  );
}

/** Computes outputs, where the case expects some, and compares them. */
export async function checkOutputs(
  subject: ConformanceCase,
  prefix: 'base' | 'lora' | 'trained',
  compute: () => Promise<Record<string, Tensor>>,
): Promise<Outcome> {
  const expected = expectedOutputs(subject, prefix);
  if (expected.size === 0) return notApplicable(`the case expects no ${prefix}.<output>`);
  const actual = await compute();
  return judge(
    [...expected].map(([name, tensor]) => compareTensors(name, actual[name], tensor, toleranceOf(subject, 'output'))),
  );
}
