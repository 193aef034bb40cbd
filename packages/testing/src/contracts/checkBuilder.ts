/** @file Checks builders of graphs. */

import { OrtRuntime } from '@onnx-lora/sdk';
import { type ModelBuilder, sessionModel } from '@onnx-lora/sdk/plugin';
import { call, findingsLater } from '../failures.ts';
import { inScratch, released } from '../scratch.ts';

/** Input of {@link checkBuilder}. */
export interface BuilderExamples {
  /** A folder that it can build. */
  readonly folder: string;
}

/**
 * Checks a builder: it recognises its folder but not an empty one, and its graphs have names and load in ONNX Runtime.
 * @example
 * assert.deepEqual(await checkBuilder(cellsBuilder, { folder: 'fixtures/cell-net' }), []);
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkBuilder(builder: ModelBuilder, { folder }: BuilderExamples): Promise<string[]> {
  return findingsLater(async () => {
    const problems: string[] = [];
    if (!call('recognises', () => builder.recognises(folder))) problems.push(`recognises gives false for "${folder}"`);
    await inScratch(async (empty) => {
      if (call('recognises', () => builder.recognises(empty)))
        problems.push('recognises gives true for an empty folder');
    });
    if (call('choose', () => builder.choose(['README.md'])).length > 0) problems.push('choose takes a README.md alone');
    const graphs = await call('build', () => builder.build(folder, { families: [] }));
    if (graphs.size === 0) problems.push('build gives no graph');
    for (const [name, model] of graphs) {
      if (!/^[\w-]+$/.test(name))
        problems.push(`build gives a graph the name "${name}", which is not a valid file name`);
      const found = await findingsLater(async () => {
        const session = await new OrtRuntime().createSession({ ...sessionModel(model), name });
        return released(session, async () => []);
      });
      problems.push(...found);
    }
    return problems;
  });
}
