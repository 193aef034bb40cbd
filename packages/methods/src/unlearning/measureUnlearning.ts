/** @file What is left of examples that were to be forgotten, and of the others. */

import { type Adapter, evaluate, type EvaluateOptions, type Evaluation, type Model, modelFor } from '@onnx-lora/sdk';
import { bootstrapInterval, rankingMeasure, type Task } from '@onnx-lora/sdk/tasks';
import { lossesOf } from './asked.ts';

/** What {@link measureUnlearning} measures. */
export interface MeasureUnlearningOptions extends Pick<EvaluateOptions, 'provider' | 'threads'> {
  /** What was trained on and is to be forgotten: the task's training data. */
  readonly forget: Task;
  /** What is to be kept; measured as `evaluate` does. */
  readonly retain: Task;
  /** Examples of the kind of `forget` that were never trained on: what the task holds out, or all of its data. */
  readonly unseen: Task;
  /** The adapter before or after unlearning; the base alone without one. */
  readonly adapter?: Adapter;
}

/** How well losses tell what was trained on from what was not. */
export interface Membership {
  /**
   * The probability that a training example has a lower loss than one that was never seen. 0.5 is guessing; below it the
   * forgotten ones stand out by too high a loss, which tells them apart as well.
   */
  readonly auc: number;
  /** Holds it with a probability of 95%, by the bootstrap. */
  readonly interval: readonly [low: number, high: number];
}

/** What {@link measureUnlearning} finds. */
export interface UnlearningScores {
  /** Of the examples that are to be forgotten. */
  readonly forget: Evaluation;
  /** Of those that are to be kept. */
  readonly retain: Evaluation;
  /** Of those of the forgotten kind that were never seen. */
  readonly unseen: Evaluation;
  /** Whether the loss still tells the forgotten examples from those that were never seen. */
  readonly membership: Membership;
}

/**
 * Measures an adapter before or after unlearning: what it knows of both sides, and whether somebody who sees the losses could
 * tell that the forgotten examples were trained on.
 *
 * @example
 * const tasks = { forget, retain, unseen };
 * const before = await measureUnlearning(model, { ...tasks, adapter: learned });
 * const after = await measureUnlearning(model, { ...tasks, adapter });
 * console.log(before.membership.auc, after.membership.auc);
 *
 * @see Yeom et al., "Privacy Risk in Machine Learning" (2018), arXiv:1709.01604, for the attack by the loss
 * @throws OnnxLoraError as `evaluate` does; `CONFIG_INVALID` for tasks whose loss compares examples
 */
export async function measureUnlearning(
  model: Model,
  { forget, retain, unseen, adapter, ...machine }: MeasureUnlearningOptions,
): Promise<UnlearningScores> {
  const chosen = adapter ? { adapter } : {};
  const measured = (task: Task): Promise<Evaluation> => evaluate(model, { task, ...chosen, ...machine });
  const losses = async (task: Task, isTrained: boolean): Promise<Float64Array> => {
    const data = await task.prepare(adapter ? modelFor(model, adapter) : model);
    return lossesOf({ model, ...chosen, machine, data, examples: isTrained ? data.train : (data.validation ?? data.train) }); // prettier-ignore
  };
  return {
    forget: await measured(forget),
    retain: await measured(retain),
    unseen: await measured(unseen),
    membership: membershipOf(await losses(forget, true), await losses(unseen, false)),
  };
}

/**
 * How well a threshold on the loss tells examples that were trained on from others.
 *
 * @param trained losses of the former
 * @param unseen losses of the latter, which should be of the same kind
 */
export function membershipOf(trained: ArrayLike<number>, unseen: ArrayLike<number>): Membership {
  const all = [...Array.from(trained), ...Array.from(unseen)];
  const ranking = rankingMeasure(all.map((loss) => -loss), all.map((_, i) => i < trained.length)); // prettier-ignore
  return { auc: ranking().auroc, interval: bootstrapInterval((times) => ranking(times).auroc, all.length) };
}
