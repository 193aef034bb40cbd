/** @file What tasks of all domains share beside their settings: the choice of a head, options that are checked, tasks that only answer. */

import { OnnxLoraError } from '../errors.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { Task } from '../plugin/preparedTask.ts';
import type { SettingRow, SettingTable } from '../plugin/settings.ts';

/** Whether labels get a new head. */
export const headSetting: SettingRow<'auto' | 'new' | 'keep'> = {
  kind: 'choice',
  of: ['auto', 'new', 'keep'],
  description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
};

/** A task with nothing to learn, which says when it is prepared what to take instead: `To train …, take the task …`. */
export function answeringTask(name: string, instead: string): Task {
  return {
    name,
    prepare: () =>
      Promise.reject(new OnnxLoraError('CONFIG_INVALID', `The task ${name} only answers (predict). ${instead}.`)),
  };
}

/** The task, whose options are checked as the settings that they are when it is prepared, before anything is read. */
export function checkedTask<Options, Example, Scores extends Metrics, During extends Metrics>(
  settings: SettingTable<Options>,
  options: Parameters<SettingTable<NoInfer<Options>>['checkOptions']>[0],
  task: Task<Example, Scores, During>,
): Task<Example, Scores, During> {
  return {
    name: task.name,
    prepare: async (model) => {
      settings.checkOptions(options);
      return task.prepare(model);
    },
  };
}
