/** @file First values of a head from what it reads of examples: a linear probe. */

import type { HeadValues, PreparedTask } from '../../plugin/preparedTask.ts';
import { evenlySpaced } from '../../plugin/tasks/batches.ts';
import type { Provider } from '../../runtime/session.ts';
import type { Model } from '../model.ts';
import { attachHead } from './attachHead.ts';
import { SCORES } from './appendHead.ts';

/** Most examples that are looked at, evenly spaced over the data: enough for a probe of some thousand features. */
const MOST = 1024;

/** How examples are looked at. */
export interface ProbeOptions {
  readonly session: { readonly provider?: Provider; readonly threads?: number };
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
  const headed = attachHead<Model>(model, head).model;
  const read = headed.headInput(SCORES)!.name;
  const session = await headed.withOutputs([read]).session(options);
  try {
    const indices = evenlySpaced(train.length, MOST);
    const [used, rows]: [number[], Float32Array[]] = [[], []];
    for (let from = 0; from < indices.length; from += batchSize) {
      const loaded = await Promise.all(
        indices.slice(from, from + batchSize).map(async (index) => {
          try {
            return [index, await train.get(index)] as const;
          } catch (error) {
            if (onBadSample === 'fail') throw error;
            return undefined;
          }
        }),
      );
      const batch = loaded.filter((each) => each !== undefined);
      if (batch.length === 0) continue;
      const { inputs } = await collate(batch.map(([, example]) => example));
      const { [read]: features } = await session.run(inputs, { fetches: [read] });
      for (const each of batch.map(([index]) => index)) used.push(each);
      rows.push(features!.data as Float32Array);
    }
    const size = rows.reduce((sum, { length }) => sum + length, 0);
    const data = new Float32Array(size);
    let at = 0;
    for (const row of rows) {
      data.set(row, at);
      at += row.length;
    }
    return used.length === 0 ? undefined : head.probe({ examples: used, data, width: size / used.length });
  } finally {
    await session.release();
  }
}
