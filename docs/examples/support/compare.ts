/** @file Trains an adapter, and says what it buys: the tables of its report, beside baselines on the frozen model. */

import { type Model, train, type TrainOptions } from '@onnx-lora/sdk';
import type { ReportSection, Task } from '@onnx-lora/sdk/tasks';

/** A table of the report. */
export type ReportTable = ReportSection & { readonly kind: 'table' };

/** The tables "LoRA against baselines" of a task, measured on its held-out sequences. */
export async function compared(
  model: Model,
  task: Task,
  options: Omit<TrainOptions, 'task'>,
): Promise<readonly ReportTable[]> {
  // Data are read once.
  const prepared = await task.prepare(model);
  const same: Task = { name: task.name, prepare: () => Promise.resolve(prepared) };
  const { adapter } = await (await train(model, { ...options, task: same })).done;
  const session = await model.withOutputs(prepared.outputs ?? []).session({ adapters: { adapter } });
  try {
    const sections = await prepared.report!({
      run: (inputs, which) => session.run(inputs, { adapter: which === 'base' ? null : 'adapter' }),
      batchSize: 32,
      model,
      adapter,
      options: {},
    });
    return sections.filter((section) => section.kind === 'table' && section.title.startsWith('LoRA against baselines')) as ReportTable[]; // prettier-ignore
  } finally {
    await session.release();
  }
}
