/** @file Poly: several LoRAs (skills) per layer, mixed per task. */

import { Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { oneOf, whole } from '../tuners/settings.ts';
import { kaiming, uniform, zeros } from '../tuners/tensors.ts';

const POLY = 'POLY';

/** The model's input of task numbers, one per row of a batch, as PEFT names it. */
export const TASK_IDS = 'task_ids';

export const poly: Tuner = {
  name: 'poly',
  peftType: POLY,
  paper: 'https://arxiv.org/abs/2202.13914',
  description: `Poly: LoRAs that each task mixes; ${TASK_IDS} has each row's task`,
  // `task` is not PEFT's: the task of all rows.
  defaults: { r: 8, poly_type: 'poly', n_tasks: 1, n_skills: 4, n_splits: 1, init_weights: true, task: null, exclude_modules: null }, // prettier-ignore
  rowInputs: [TASK_IDS],
  refuses: (layer, { n_splits: splits }) =>
    layer.in % (splits as number) === 0 && layer.out % (splits as number) === 0
      ? undefined
      : `reads ${layer.in} features and yields ${layer.out}, which n_splits ${String(splits)} does not divide`,
  tune: (layer, settings) => {
    const [r, tasks, skills, splits] = ['r', 'n_tasks', 'n_skills', 'n_splits'].map((key) => whole(settings, key)) as [number, number, number, number]; // prettier-ignore
    oneOf('poly', settings, 'poly_type', ['poly']);
    const task = settings['task'] ?? (tasks === 1 ? 0 : undefined);
    const [width, height] = [layer.in / splits, layer.out / splits];
    /** A `[tasks, in, r]` and B `[tasks, r, out]` for task numbers `[tasks]`. */
    const mixed = (
      g: GraphBuilder,
      { poly_lora_A: A, poly_lora_B: B, 'poly_router.module_logits': logits }: ByTensor<Value>,
      of: Value,
    ): readonly [A: Value, B: Value] => {
      const own = g.Sigmoid(g.Reshape(g.Gather(logits!, of, 0), [-1, splits, 1, skills]));
      const shares = g.Div(own, g.Add(g.ReduceSum(own, [3], true), 1e-12));
      const mix = (skill: Value, size: number): Value => g.MatMul(shares, g.Reshape(skill, [1, splits, skills, size]));
      const parts = g.Reshape(mix(B!, r * height), [-1, splits, r, height]);
      return [
        g.Reshape(mix(A!, width * r), [-1, layer.in, r]),
        g.Mul(g.Reshape(g.Transpose(parts, [0, 2, 1, 3]), [-1, r, layer.out]), 1 / r),
      ];
    };
    const own = {
      linearIn: ['poly_lora_B'],
      tensors: {
        poly_lora_A: kaiming([splits, skills, width, r], width),
        poly_lora_B: zeros([splits, skills, r, height]),
        'poly_router.module_logits': uniform([tasks, splits * skills], 1e-3),
      },
    };
    if (task === undefined) {
      return {
        ...own,
        apply: (g, { x, forward, rowInput, byRow }, tensors) => {
          const [A, B] = mixed(g, tensors, rowInput(TASK_IDS));
          return g.Add(
            forward(x),
            byRow((rows) => g.MatMul(g.MatMul(rows, A), B)),
          );
        },
      };
    }
    requireTask(task, tasks);
    return {
      ...own,
      factors: (g, tensors) => {
        const [A, B] = mixed(g, tensors, g.ints([task]));
        return { A: g.Transpose(g.Squeeze(A, [0]), [1, 0]), B: g.Transpose(g.Squeeze(B, [0]), [1, 0]) };
      },
    };
  },
};

function requireTask(task: unknown, tasks: number): asserts task is number {
  if (Number.isInteger(task) && (task as number) >= 0 && (task as number) < tasks) return;
  throw new OnnxLoraError('CONFIG_INVALID', `The adapter of Poly has ${tasks} tasks, and ${JSON.stringify(task)} is none of them. Take a number from 0 to ${tasks - 1}.`); // prettier-ignore
}

/**
 * Fixes a Poly adapter to one of its tasks. The result can be merged and converted to LoRA.
 * @example
 * await merge(model, forTask(await loadAdapter('skills'), 2), 'models/second');
 * @param task its number, from 0
 * @throws OnnxLoraError `INPUT_INVALID` for an adapter of another type; `CONFIG_INVALID` for an unknown task
 */
export function forTask(adapter: Adapter, task: number): Adapter {
  const { config, tensors, baseDigest, notes } = adapter;
  if (config.peftType !== POLY)
    throw new OnnxLoraError('INPUT_INVALID', `The adapter is of the type ${config.peftType}, and only those of Poly have tasks. Use it as it is.`); // prettier-ignore
  const settings: TunerSettings = { ...poly.defaults, ...config.extra };
  requireTask(task, whole(settings, 'n_tasks'));
  return new Adapter({ ...config, extra: { ...config.extra, task } }, tensors, baseDigest, notes);
}
