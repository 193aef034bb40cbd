/** @file Poly: several skills, LoRAs of a layer each, of which every task has a mix of its own. */

import { Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { oneOf, whole } from './settings.ts';
import { kaiming, uniform, zeros } from './tensors.ts';

const POLY = 'POLY';

export const poly: Tuner = {
  name: 'poly',
  peftType: POLY,
  paper: 'https://arxiv.org/abs/2202.13914',
  description: 'Poly: LoRAs that tasks mix, read as what one task has of them',
  // `task` is none of PEFT's, where each row of a batch says which task it is of.
  defaults: { r: 8, poly_type: 'poly', n_tasks: 1, n_skills: 4, n_splits: 1, init_weights: true, task: null, exclude_modules: null }, // prettier-ignore
  refuses: (layer, { n_splits: splits }) =>
    layer.in % (splits as number) === 0 && layer.out % (splits as number) === 0
      ? undefined
      : `reads ${layer.in} features and yields ${layer.out}, which n_splits ${String(splits)} does not divide`,
  tune: (layer, settings, _, saved) => {
    const [r, tasks, skills, splits] = ['r', 'n_tasks', 'n_skills', 'n_splits'].map((key) => whole(settings, key)) as [number, number, number, number]; // prettier-ignore
    oneOf('poly', settings, 'poly_type', ['poly']);
    if (saved === undefined && tasks > 1) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `Poly trains ${tasks} tasks at once, each row of a batch with a task of its own, which runs do not have. Train it in PEFT, or one task (n_tasks: 1).`,
      );
    }
    const task = taskOf(settings, tasks);
    const [width, height] = [layer.in / splits, layer.out / splits];
    return {
      linearIn: ['poly_lora_B'],
      tensors: {
        poly_lora_A: kaiming([splits, skills, width, r], width),
        poly_lora_B: zeros([splits, skills, r, height]),
        'poly_router.module_logits': uniform([tasks, splits * skills], 1e-3),
      },
      factors: (g, { poly_lora_A: A, poly_lora_B: B, 'poly_router.module_logits': logits }) => {
        const own = g.Sigmoid(g.Reshape(g.Slice(logits!, [task], [task + 1], [0]), [splits, 1, skills]));
        const shares = g.Div(own, g.Add(g.ReduceSum(own, [2], true), 1e-12));
        const mixed = (skill: Value, rows: number, columns: number): Value =>
          g.Reshape(g.MatMul(shares, g.Reshape(skill, [splits, skills, rows * columns])), [splits, rows, columns]);
        return {
          A: g.Transpose(g.Reshape(mixed(A!, width, r), [layer.in, r]), [1, 0]),
          B: g.Mul(joined(g, mixed(B!, r, height), [layer.out, r]), 1 / r),
        };
      },
    };
  },
};

/** `[splits, r, out / splits]` as `[out, r]`. */
function joined(g: GraphBuilder, parts: Value, shape: readonly number[]): Value {
  return g.Reshape(g.Transpose(parts, [0, 2, 1]), shape);
}

/** @throws OnnxLoraError `CONFIG_INVALID` where nothing says which task is meant, or there is none such */
function taskOf({ task: given }: TunerSettings, tasks: number): number {
  const task = given ?? (tasks === 1 ? 0 : undefined);
  if (Number.isInteger(task) && (task as number) >= 0 && (task as number) < tasks) return task as number;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The adapter of Poly has ${tasks} tasks, and ${given === null ? 'nothing says which one is meant' : `${JSON.stringify(given)} is none of them`}. Say which ("task": 0 in its adapter_config.json, or forTask(adapter, 0)), and convert it to LoRA to have several of them in one batch.`,
  );
}

/**
 * An adapter of Poly for one of its tasks. Converted to LoRA (`convertToLora`), adapters for several tasks can be run in one
 * batch, each for rows of its own, as PEFT runs them by `task_ids`.
 *
 * @example
 * const { adapter } = await convertToLora(forTask(await loadAdapter('skills'), 2), model, { r: 8 });
 *
 * @param task its number, from 0
 * @throws OnnxLoraError `INPUT_INVALID` for another adapter; `CONFIG_INVALID` for a task that it has not
 */
export function forTask(adapter: Adapter, task: number): Adapter {
  const { config, tensors, baseDigest, notes } = adapter;
  if (config.peftType !== POLY)
    throw new OnnxLoraError('INPUT_INVALID', `The adapter is of the type ${config.peftType}, and only those of Poly have tasks. Use it as it is.`); // prettier-ignore
  taskOf({ task }, whole({ ...poly.defaults, ...config.extra }, 'n_tasks'));
  return new Adapter({ ...config, extra: { ...config.extra, task } }, tensors, baseDigest, notes);
}
