/** @file A task that is measured with several adapters together, for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import { answeringAdapters } from '../tasks/records/answeringAdapters.ts';
import { measureEnsemble } from './measureEnsemble.ts';

/**
 * The task as it is, unless there is an ensemble, folders of other adapters: then `evaluate` measures the mean of the answers of all its adapters.
 * Of one predicted number it tells too how many measured ones lie within 1.96 deviations (`inside95`, which is 0.95 where
 * deviations can be trusted), and what deviations must be multiplied by (`deviationFactor`). It is not to be trained.
 */
export function withEnsemble(task: Task, ensemble: readonly string[] | undefined): Task {
  if (ensemble === undefined) return task;
  return {
    name: task.name,
    prepare: async (model) => {
      const data = await task.prepare(model);
      const measure: PreparedTask['measure'] = async ({ adapter, options: load, ...request }) => {
        const all = await answeringAdapters(adapter, ensemble);
        const adapters = Object.fromEntries(all.map((each, i) => [String(i), each]));
        const { metrics, intervals, calibration = [] } = await measureEnsemble({ ...request, data, task: task.name, adapters, load }); // prettier-ignore
        const [only, ...others] = calibration;
        if (!only || others.length > 0) return { metrics, intervals };
        const inside95 = only.coverage.find(({ level }) => level === 0.95)!.found;
        return { metrics: { ...metrics, inside95, deviationFactor: only.factor }, intervals };
      };
      const loss: PreparedTask['loss'] = () => {
        throw new OnnxLoraError(
          'CONFIG_INVALID',
          'Adapters of an ensemble are trained one by one, each with another --seed. Leave the setting ensemble out here, and give it to eval and predict.',
        );
      };
      return { ...data, loss, measure };
    },
  };
}
