/** @file Lets a task learn from the finished adapter. */

import type { Adapter } from '../../../adapter/adapter.ts';
import type { AdapterSession } from '../../../adapter/serving/session.ts';
import type { ReportRequest } from '../../../plugin/preparedTask.ts';
import { rowsPerRun } from '../../../plugin/taskModel.ts';
import { withNotes } from '../../head/forAdapter.ts';
import type { Model } from '../../loaded/model.ts';
import type { EvaluatorRequest } from '../evaluator.ts';

/** `model` runs batches; `whole` is the model that the adapter serves. */
interface Finishing extends Pick<EvaluatorRequest, 'model' | 'data' | 'batchSize' | 'session'> {
  readonly whole: Model;
}

/** Adds what the task learns to the adapter's notes. */
export async function finished(
  adapter: Adapter,
  { model, whole, data, batchSize, session: options }: Finishing,
): Promise<Adapter> {
  // Created when the task first asks.
  let session: Promise<AdapterSession> | undefined;
  const run: ReportRequest['run'] = async (inputs, which) => {
    session ??= model.session({ ...options, adapters: { adapted: adapter }, allowBaseMismatch: true });
    return (await session).run(inputs, { adapter: which === 'base' ? null : 'adapted' });
  };
  try {
    const { tunings } = await model.place(adapter, { allowBaseMismatch: true });
    const mixesRows = tunings.some(({ tuning }) => tuning.mixesRows);
    const rows = rowsPerRun({ mixesRows }, batchSize);
    const request = { run, batchSize: rows, model: whole, adapter, options: { ...options, allowBaseMismatch: true } };
    return withNotes(adapter, { learned: await data.finish!(request) });
  } finally {
    await (await session)?.release();
  }
}
