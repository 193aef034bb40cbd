/** @file Trains several tasks at once, with a task number per example. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { Dataset, PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import { joined } from '../continual/withReplay.ts';
import { TASK_IDS } from './poly.ts';

interface OfTask {
  readonly task: number;
  readonly example: unknown;
}

/**
 * Several tasks as one; its batches have each example's task number in `task_ids`. All must be of one kind with the
 * same labels. Metrics are the first task's, over all validation examples.
 * @example
 * const model = (await openModel('models/vit', { plugins: [methodsPlugin] })).withRowInputs(['task_ids']);
 * const task = multitask([imageClassification('turned'), imageClassification('inverted')]);
 * const lora = { tuner: { name: 'poly', n_tasks: 2, n_skills: 3 }, targetModules: 'all-linear' };
 * const run = await train(model, { task, lora, steps: 200 });
 * @throws OnnxLoraError by `prepare`: `INPUT_INVALID` for a model without the input, `CONFIG_INVALID` for tasks of
 *   several kinds or with a pass before the first step
 */
export function multitask(tasks: readonly Task[]): Task {
  const [first] = tasks;
  if (!first || tasks.length < 2) throw invalid('Several tasks at once are two at least. Name more, or train the one by itself.'); // prettier-ignore
  return {
    name: first.name,
    prepare: async (model) => {
      if (!model.inputs[TASK_IDS])
        throw new OnnxLoraError('INPUT_INVALID', `"${model.name}" has no input "${TASK_IDS}" for the task of each example. Take model.withRowInputs(["${TASK_IDS}"]).`); // prettier-ignore
      const all: PreparedTask[] = [];
      for (const task of tasks) all.push(await task.prepare(model));
      const own = all[0]!;
      const heads = new Set(all.map(({ head }) => JSON.stringify(head?.labels)));
      if (heads.size > 1 || tasks.some(({ name }) => name !== first.name))
        throw invalid(`Several tasks at once must be of one kind and have the same labels, and these (${tasks.map(({ name }) => name).join(', ')}) have not. Give them the same labels, or train an adapter for each.`); // prettier-ignore
      if (all.some((each) => each.begin !== undefined)) throw invalid(`The task "${first.name}" asks the model about each example before the first step, which several at once cannot. Train an adapter for each.`); // prettier-ignore
      const held = all.flatMap(({ validation }, task) => (validation ? [numbered(validation, task)] : []));
      const together = {
        train: joined(numbered(own.train, 0), all.slice(1).map(({ train }, i) => numbered(train, i + 1))), // prettier-ignore
        ...(held[0] ? { validation: joined(held[0], held.slice(1)) } : {}),
        collate: async (examples: readonly unknown[]) => {
          const of = examples as readonly OfTask[];
          const { inputs, ...batch } = await own.collate(of.map(({ example }) => example));
          const numbers = int64(of.map(({ task }) => task), [of.length]); // prettier-ignore
          return { ...batch, inputs: { ...inputs, [TASK_IDS]: numbers } };
        },
        // They run the model on examples without a task number.
        measure: undefined as never,
        report: undefined as never,
      } satisfies Partial<PreparedTask>;
      return Object.assign(Object.create(own) as PreparedTask, together);
    },
  };
}

function numbered(data: Dataset<unknown>, task: number): Dataset<unknown> {
  return Object.assign(Object.create(data) as Dataset<unknown>, {
    get: async (index: number, draw?: number): Promise<OfTask> => ({ task, example: await data.get(index, draw) }),
  });
}

function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}
