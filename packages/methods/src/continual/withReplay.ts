/** @file Mixes examples of earlier tasks into a task's training data. */

import { Random } from '@onnx-lora/sdk/data';
import type { Dataset, PreparedTask, Task } from '@onnx-lora/sdk/tasks';

/**
 * Adds examples of earlier tasks to a task's training data; its validation data stay. All tasks must be of one kind:
 * the new task collates all examples.
 * @example
 * const task = withReplay(imageClassification('inverted'), [imageClassification('turned')], 100);
 * @param examples per earlier task, drawn without replacement
 */
export function withReplay(task: Task, earlier: readonly Task[], examples: number, seed: number = 1): Task {
  return {
    name: task.name,
    prepare: async (model) => {
      const own = await task.prepare(model);
      const memories = await Promise.all(earlier.map((each) => each.prepare(model)));
      return Object.assign(Object.create(own) as PreparedTask, { train: joined(own.train, memories.map(({ train }) => sample(train, examples, seed))) }); // prettier-ignore
    },
  };
}

function sample(data: Dataset<unknown>, count: number, seed: number): Dataset<unknown> {
  const random = new Random(seed);
  const order = Array.from({ length: data.length }, (_, i) => i);
  for (let i = 0; i < Math.min(count, order.length - 1); i++) {
    const j = i + random.index(order.length - i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return view(data, order.slice(0, count));
}

/** Concatenates datasets. */
export function joined(first: Dataset<unknown>, others: readonly Dataset<unknown>[]): Dataset<unknown> {
  const all = [first, ...others];
  const places = all.flatMap((data) => Array.from({ length: data.length }, (_, i) => [data, i] as const));
  return {
    length: places.length,
    get: (index, draw) => places[index]![0].get(places[index]![1], draw),
    nameOf: (index) => places[index]![0].nameOf?.(places[index]![1]) ?? String(index),
    ...(first.keyOf ? { keyOf: async (index) => (await places[index]![0].keyOf?.(places[index]![1])) ?? [] } : {}),
    isDeterministic: all.every((data) => data.isDeterministic === true),
    ...(first.lengths ? { lengths: places.map(([data, i]) => data.lengths?.[i] ?? 0) } : {}),
  };
}

function view(data: Dataset<unknown>, order: readonly number[]): Dataset<unknown> {
  const { lengths } = data;
  return {
    length: order.length,
    get: (index, draw) => data.get(order[index]!, draw),
    ...(data.nameOf ? { nameOf: (index) => data.nameOf!(order[index]!) } : {}),
    ...(data.keyOf ? { keyOf: (index) => data.keyOf!(order[index]!) } : {}),
    ...(lengths ? { lengths: order.map((i) => lengths[i]!) } : {}),
    ...(data.isDeterministic === undefined ? {} : { isDeterministic: data.isDeterministic }),
  };
}
