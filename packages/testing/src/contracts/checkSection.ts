/** @file Checks report sections of plugins. */

import { openModel, OrtRuntime } from '@onnx-lora/sdk';
import type { FinishedRun, SectionFactory } from '@onnx-lora/sdk/plugin';
import { call, findingsLater } from '../failures.ts';
import { inScratch } from '../scratch.ts';
import { linearNet } from '../models/smallNets.ts';
import { publishModel } from '../models/publishModel.ts';
import { randomAdapter } from '../random.ts';
import { sectionProblems } from './sectionProblems.ts';

/**
 * Checks the sections for a run with and without held-out metrics: known kinds, titles, rows as wide as the columns,
 * and finite numbers.
 * @example
 * assert.deepEqual(await checkSection(sizes), []);
 * @param run properties of the run, for sections that only some runs have; by default those of a small net
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkSection(factory: SectionFactory, run: Partial<FinishedRun> = {}): Promise<string[]> {
  return inScratch(async (folder) => {
    const model = await openModel(await publishModel(folder, { model: linearNet() }), { runtime: new OrtRuntime() });
    const measured: FinishedRun = {
      task: 'regression',
      model,
      adapter: await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' } }),
      losses: [2, 1.5, 1.2, 1.1].map((loss, i) => [i + 1, loss]),
      before: { rmse: 1.4, r2: -0.1 },
      after: { rmse: 1, r2: 0.5 },
      ...run,
    };
    const { before: _, after: __, ...unmeasured } = measured;
    const shown = async (name: string, of: FinishedRun): Promise<string[]> => {
      const sections = await call(`sections${name}`, async () => factory.sections(of));
      if (!Array.isArray(sections)) return [`sections${name} gives no list`];
      if (of === measured && sections.length === 0) return ['there is no section of the run: give one that has some'];
      return sections.flatMap(sectionProblems);
    };
    const problems = [
      ...(await findingsLater(() => shown('', measured))),
      ...(await findingsLater(() => shown(' of a run without held-out data', unmeasured))),
    ];
    return [...new Set(problems)];
  });
}
