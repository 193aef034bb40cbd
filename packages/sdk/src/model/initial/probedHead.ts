/** @file Initial values of a head by a linear probe of examples. */

import type { HeadValues, PreparedTask } from '../../plugin/preparedTask.ts';
import { batchesOf, evenlySpaced } from '../../tasks/batches.ts';
import { joinVectors } from '../../tasks/embedding/rows.ts';
import type { RunnableOptions } from '../../plugin/taskModel.ts';
import type { Model } from '../loaded/model.ts';
import { attachHead } from '../head/attachHead.ts';
import { SCORES } from '../head/appendHead.ts';

/** Enough examples for a probe of a few thousand features. */
const MOST = 1024;

/** How to read examples. */
export interface ProbeOptions {
  readonly session: Pick<RunnableOptions, 'provider' | 'threads'>;
  readonly batchSize: number;
  /** `skip` omits examples that cannot be loaded. */
  readonly onBadSample: 'fail' | 'skip';
}

/** Cached by model and data, so that an evaluation before training and the training start with the same values. */
const known = new WeakMap<Model, WeakMap<object, Map<string, Promise<HeadValues | undefined>>>>();

/**
 * The initial values of the head by the task's probe. Undefined if the task has no probe or no training data, or the
 * head is not a single linear layer on one row of features per example.
 * @throws OnnxLoraError as `dataset.get` and `model.session`
 */
export function probedHead(
  model: Model,
  data: Pick<PreparedTask, 'collate' | 'head' | 'train'>,
  options: ProbeOptions,
): Promise<HeadValues | undefined> {
  const { session, batchSize, onBadSample } = options;
  const key = [session.provider, batchSize, onBadSample].join(' ');
  const ofModel = known.get(model) ?? new WeakMap<object, Map<string, Promise<HeadValues | undefined>>>();
  const ofData = ofModel.get(data.train) ?? new Map<string, Promise<HeadValues | undefined>>();
  known.set(model, ofModel.set(data.train, ofData));
  const values = ofData.get(key) ?? probe(model, data, options);
  ofData.set(key, values);
  return values;
}

async function probe(
  model: Model,
  { head, train, collate }: Pick<PreparedTask, 'collate' | 'head' | 'train'>,
  { session: options, batchSize, onBadSample }: ProbeOptions,
): Promise<HeadValues | undefined> {
  if (!head?.probe || train.length === 0) return undefined;
  const { model: headed, modules } = attachHead(model, head);
  const { name: read, dims, type } = headed.headInput(head.attach ? SCORES : head.output)!;
  // A replaced head may be a convolution, or one of two that are averaged.
  if (!head.attach && (modules.length > 1 || dims?.length !== 2 || type !== 'float32')) return undefined;
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
