/** @file Checks execution providers. */

import type { Session } from '@onnx-lora/sdk';
import { type ProviderFactory, sessionModel } from '@onnx-lora/sdk/plugin';
import { randomFeeds } from '../random.ts';
import { call, findingsLater, refusalProblems } from '../failures.ts';
import { compareTensors } from '../conformance/compare.ts';
import { runOnce } from '../graphs.ts';
import { linearNet } from '../models/smallNets.ts';

/** Products may be summed in another order. */
const same = { ofLargest: 1e-4 } as const;

/**
 * Checks a provider on a small net of linear layers: batches of several sizes match the CPU to 1e-4 of the largest
 * number, a run with a missing input is an `OnnxLoraError`, and the session can be released.
 * @example
 * assert.deepEqual(await checkProvider(oneCore), []);
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkProvider(factory: ProviderFactory): Promise<string[]> {
  const name = 'linear-net';
  return findingsLater(async () => {
    const runtime = call('create', () => factory.create());
    const source = { ...sessionModel(linearNet()), name };
    const session = await call('createSession', () => runtime.createSession(source, { threads: 1 }));
    const problems = await findingsLater(() => runProblems(session));
    const released = await findingsLater(async () => {
      await call('release', () => session.release());
      return [];
    });
    return [...problems, ...released];
  });
}

async function runProblems(session: Session): Promise<string[]> {
  const names = { inputNames: ['x'], outputNames: ['logits'] } as const;
  const problems = (['inputNames', 'outputNames'] as const).flatMap((each) =>
    session[each].join() === names[each].join()
      ? []
      : [`${each} is [${session[each].join(', ')}], expected [${names[each].join(', ')}]`],
  );
  for (const batch of [1, 3]) {
    const feeds = randomFeeds({ name: 'linear-net', inputs: { x: { type: 'float32', dims: [batch, 8] } } });
    const [found, expected] = [await call('run', () => session.run(feeds)), await runOnce(linearNet(), feeds)];
    const { problem } = compareTensors('logits', found['logits'], expected['logits']!, same);
    if (problem !== undefined) problems.push(`in a batch of ${batch}, ${problem}`);
  }
  const { x } = randomFeeds({ name: 'linear-net', inputs: { x: { type: 'float32', dims: [1, 8] } } });
  return [
    ...problems,
    ...(await refusalProblems('a run that feeds "y" in place of "x"', () => session.run({ y: x! }))),
  ];
}
