/** @file Tests of how held-out examples are measured. */

import { expect, it } from 'vitest';
import type { PreparedTask } from '../../plugin/task.ts';
import { float32 } from '../../runtime/tensor.ts';
import { measure } from './measure.ts';

it('tells the author of a task what its metrics are given', async () => {
  const y = float32([1, 2], [2]);
  const data = {
    collate: () => Promise.resolve({ inputs: {}, targets: { y } }),
    metrics: () => ({ update: (_, { labels }) => void labels!.data.length, result: () => ({}) }),
  } satisfies Pick<PreparedTask, 'collate' | 'metrics'>;
  const measured = measure({
    data: data as unknown as PreparedTask,
    examples: { length: 1, get: () => Promise.resolve({}) },
    batchSize: 1,
    run: () => Promise.resolve({ logits: y }),
  });
  await expect(measured).rejects.toThrow(
    /^Task author: the metrics fail: .*undefined.* Outputs: logits; targets, which are what collate gives: y\.$/,
  );
});
