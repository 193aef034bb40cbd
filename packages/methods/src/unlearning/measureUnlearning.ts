/** @file Measures unlearning: scores on forgotten, kept and unseen examples, and a membership attack. */

import {
  type Adapter,
  evaluate,
  type EvaluateOptions,
  type Evaluation,
  type Model,
  modelForAdapter,
} from '@onnx-lora/sdk';
import { bootstrapInterval, rankingMeasure, type Task } from '@onnx-lora/sdk/tasks';
import { lossesOf } from './evaluated.ts';

/** Options of {@link measureUnlearning}. */
export interface MeasureUnlearningOptions extends Pick<EvaluateOptions, 'provider' | 'threads'> {
  /** Training data of this task are to be forgotten. */
  readonly forget: Task;
  /** To be kept; measured as `evaluate` does. */
  readonly retain: Task;
  /** Examples like `forget`'s that were never trained on: the task's validation data, or all of its data. */
  readonly unseen: Task;
  /** The adapter before or after unlearning; without it the base alone. */
  readonly adapter?: Adapter;
}

/** How well losses separate trained examples from unseen ones. */
export interface Membership {
  /**
   * Probability that a trained example has a lower loss than an unseen one. 0.5 is guessing; below it, forgotten
   * examples stand out by too high a loss, which gives them away as well.
   */
  readonly auc: number;
  /** 95% bootstrap confidence interval. */
  readonly interval: readonly [low: number, high: number];
}

/** Result of {@link measureUnlearning}. */
export interface UnlearningScores {
  /** Scores on the examples to forget. */
  readonly forget: Evaluation;
  /** Scores on the examples to keep. */
  readonly retain: Evaluation;
  /** Scores on unseen examples of the forgotten kind. */
  readonly unseen: Evaluation;
  /** Whether the loss still separates forgotten from unseen examples. */
  readonly membership: Membership;
}

/**
 * Measures an adapter before or after unlearning: its scores on both sides, and whether the losses reveal that the
 * forgotten examples were trained on.
 * @example
 * const tasks = { forget, retain, unseen };
 * const before = await measureUnlearning(model, { ...tasks, adapter: learned });
 * const after = await measureUnlearning(model, { ...tasks, adapter });
 * console.log(before.membership.auc, after.membership.auc);
 * @see Yeom et al., "Privacy Risk in Machine Learning" (2018), arXiv:1709.01604, for the attack by the loss
 * @throws OnnxLoraError as `evaluate`; `CONFIG_INVALID` for tasks whose loss compares examples
 */
export async function measureUnlearning(
  model: Model,
  { forget, retain, unseen, adapter, ...machine }: MeasureUnlearningOptions,
): Promise<UnlearningScores> {
  const chosen = adapter ? { adapter } : {};
  const measured = (task: Task): Promise<Evaluation> => evaluate(model, { task, ...chosen, ...machine });
  const losses = async (task: Task, isTrained: boolean): Promise<Float64Array> => {
    const data = await task.prepare(adapter ? modelForAdapter(model, adapter) : model);
    return lossesOf({ model, ...chosen, machine, data, examples: isTrained ? data.train : (data.validation ?? data.train) }); // prettier-ignore
  };
  return {
    forget: await measured(forget),
    retain: await measured(retain),
    unseen: await measured(unseen),
    membership: membershipOf(await losses(forget, true), await losses(unseen, false)),
  };
}

/** How well a loss threshold separates trained examples from unseen ones of the same kind. */
export function membershipOf(trained: ArrayLike<number>, unseen: ArrayLike<number>): Membership {
  const all = [...Array.from(trained), ...Array.from(unseen)];
  const ranking = rankingMeasure(all.map((loss) => -loss), all.map((_, i) => i < trained.length)); // prettier-ignore
  return { auc: ranking().auroc, interval: bootstrapInterval((times) => ranking(times).auroc, all.length) };
}
