/** @file First values of a head from what it reads of examples: a linear probe. */

import type { HeadValues, PreparedTask } from '../../plugin/preparedTask.ts';
import { batchesOf, evenlySpaced } from '../../plugin/tasks/batches.ts';
import { joinVectors } from '../../plugin/tasks/embedding/rows.ts';
import type { RunnableOptions } from '../../plugin/taskModel.ts';
import type { Model } from '../model.ts';
import { attachHead } from './attachHead.ts';
import { SCORES } from './appendHead.ts';

/** Most examples that are looked at, evenly spaced over the data: enough for a probe of some thousand features. */
const MOST = 1024;

/** How examples are looked at. */
export interface ProbeOptions {
  readonly session: Pick<RunnableOptions, 'provider' | 'threads'>;
  readonly batchSize: number;
  /** `skip` leaves out examples that cannot be loaded. */
  readonly onBadSample: 'fail' | 'skip';
}

/**
 * The values that the task's probe gives; undefined where it has none.
 *
 * @throws OnnxLoraError as `dataset.get` and `model.session`
 */
export async function probedHead(
  model: Model,
  { head, train, collate }: Pick<PreparedTask, 'collate' | 'head' | 'train'>,
  { session: options, batchSize, onBadSample }: ProbeOptions,
): Promise<HeadValues | undefined> {
  if (!head?.probe || !head.attach) return undefined;
  const headed = attachHead(model, head).model;
  const read = headed.headInput(SCORES)!.name;
  const session = await headed.withOutputs([read]).session({ ...options, prepack: false });
  try {
    const [used, rows]: [number[], Float32Array[]] = [[], []];
    const onBad = onBadSample === 'skip' ? (): void => undefined : undefined;
    for await (const { indices, batch } of batchesOf(
      { dataset: train, collate },
      batchSize,
      evenlySpaced(train.length, MOST),
      onBad,
    )) {
      const { [read]: features } = await session.run(batch.inputs, { fetches: [read] });
      used.push(...indices);
      rows.push(features!.data as Float32Array);
    }
    const data = joinVectors(rows, 1).data as Float32Array;
    return used.length === 0 ? undefined : head.probe({ examples: used, data, width: data.length / used.length });
  } finally {
    await session.release();
  }
}
