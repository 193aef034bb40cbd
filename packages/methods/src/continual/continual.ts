/** @file Learns one task after the other with one adapter, and measures after each what is left of those before. */

import { type Adapter, combineAdapters, evaluate, type LoraOptions, type Model, OnnxLoraError, train, type TrainOptions } from '@onnx-lora/sdk'; // prettier-ignore
import type { Task } from '@onnx-lora/sdk/tasks';
import { InputSpaces, learnNext } from './infLora.ts';
import { nextStage } from './nextStage.ts';
import { withReplay } from './withReplay.ts';

/**
 * How the tasks before are kept. `sequential`: not at all, plain LoRA goes on. `replay`: some of their examples are trained again.
 * `o-lora`: each task has a LoRA of its own, orthogonal to the others. `inf-lora`: the same, in directions of inputs that no task before
 * needs. `ewc`: what mattered is held near its values. `merge`:
 * each task has a LoRA of its own from the base, and the mean of all is taken.
 */
export type ContinualMethod = 'sequential' | 'replay' | 'o-lora' | 'inf-lora' | 'ewc' | 'merge';

/** Options of {@link continual}: those of each training besides. */
export interface ContinualOptions extends Omit<TrainOptions, 'task' | 'lora' | 'from' | 'resume' | 'checkpoints'> {
  /** What is learned, by its name, in this order. */
  readonly tasks: Readonly<Record<string, Task>>;
  /** How the tasks before are kept; `sequential` by default. */
  readonly method?: ContinualMethod;
  /** What of the model is adapted, and the rank; r 8 and alpha 16 by default. */
  readonly lora?: Pick<LoraOptions, 'r' | 'alpha' | 'targetModules'>;
  /** Of `replay`: examples of each task before; 100 by default. */
  readonly replayExamples?: number;
  /** Of `o-lora` and `ewc`: how much the tasks before count; 0.5 and 1000 by default. */
  readonly lambda?: number;
  /** Called after each task with what is measured then. */
  readonly onTask?: (task: string, scores: readonly number[]) => void;
}

/** What {@link continual} has found. Scores are those of each task's first metric, for which more is better. */
export interface ContinualReport {
  /** The last adapter. */
  readonly adapter: Adapter;
  /** Names of the tasks, in their order. */
  readonly tasks: readonly string[];
  /** The base's score of each task. */
  readonly base: readonly number[];
  /** `scores[i][j]`: after task i, that of task j. */
  readonly scores: readonly (readonly number[])[];
  /** The mean score of all tasks after the last. */
  readonly average: number;
  /** How much worse each task but the last is at the end than it was at its best, on average (Chaudhry et al. 2018). */
  readonly forgetting: number;
  /** How much better each task but the first was than the base's, before it was learned, on average (Lopez-Paz and Ranzato 2017). */
  readonly forwardTransfer: number;
}

/**
 * Learns one task after the other, and measures all of them after each.
 *
 * @example
 * const { scores, forgetting } = await continual(model, {
 *   tasks: { turned: imageClassification('turned'), inverted: imageClassification('inverted') },
 *   method: 'replay',
 *   lora: { targetModules: ['query', 'value'] },
 *   steps: 200,
 * });
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for less than two tasks, and a method that does not exist; as `train` does
 */
export async function continual(model: Model, options: ContinualOptions): Promise<ContinualReport> {
  const { tasks, method = 'sequential', lora = {}, replayExamples = 100, lambda, onTask, ...training } = options;
  const names = Object.keys(tasks);
  if (names.length < 2) throw new OnnxLoraError('CONFIG_INVALID', 'There must be at least two tasks to learn one after the other. Name more.'); // prettier-ignore
  const first = startOf(method, lora, lambda);
  const seed = training.seed ?? 1;
  const spaces = method === 'inf-lora' ? new InputSpaces() : undefined;
  const adapters: Adapter[] = [];
  const scores: number[][] = [];
  const measure = async (adapter?: Adapter): Promise<number[]> => {
    const found: number[] = [];
    for (const name of names) {
      const { metrics } = await evaluate(model, { task: tasks[name]!, ...(adapter ? { adapter } : {}) });
      found.push(Object.values(metrics)[0]!);
    }
    return found;
  };
  const base = await measure();
  for (const [i, name] of names.entries()) {
    const earlier = names.slice(0, i).map((each) => tasks[each]!);
    const task = method === 'replay' && i > 0 ? withReplay(tasks[name]!, earlier, replayExamples, seed) : tasks[name]!;
    const begun = adapters.at(-1);
    const before = begun && method !== 'merge' ? nextStage(begun, seed + i) : undefined;
    const begin = before ? { from: before } : { lora: first };
    const adapter = spaces
      ? await learnNext(model, task, spaces, { lora, training, before })
      : (await (await train(model, { ...training, ...begin, task })).done).adapter;
    adapters.push(adapter);
    const now = method === 'merge' ? meanOf(adapters) : adapters.at(-1)!;
    scores.push(await measure(now));
    onTask?.(name, scores.at(-1)!);
  }
  return {
    adapter: method === 'merge' ? meanOf(adapters) : adapters.at(-1)!,
    tasks: names,
    base,
    scores,
    ...summary(scores, base),
  };
}

/** The mean of the last row, and of what each task has lost or had beforehand. */
export function summary(
  scores: readonly (readonly number[])[],
  base: readonly number[],
): Pick<ContinualReport, 'average' | 'forgetting' | 'forwardTransfer'> {
  const last = scores.at(-1)!;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const best = (task: number): number => Math.max(...scores.slice(task, -1).map((row) => row[task]!));
  return {
    average: mean(last),
    forgetting: mean(last.slice(0, -1).map((score, task) => best(task) - score)),
    forwardTransfer: mean(last.slice(1).map((_, task) => scores[task]![task + 1]! - base[task + 1]!)),
  };
}

function startOf(
  method: ContinualMethod,
  lora: ContinualOptions['lora'] & object,
  lambda: number | undefined,
): LoraOptions {
  // prettier-ignore
  const { r = 8, alpha = 16, targetModules } = lora;
  const modules = targetModules === undefined ? {} : { targetModules };
  const known: readonly string[] = ['sequential', 'replay', 'merge', 'o-lora', 'inf-lora', 'ewc'];
  if (!known.includes(method)) throw new OnnxLoraError('CONFIG_INVALID', `There is no method "${method}" to learn tasks one after the other. Methods are ${known.join(', ')}.`); // prettier-ignore
  if (method !== 'o-lora' && method !== 'ewc') return { r, alpha, ...modules };
  return { tuner: { name: method, r, lora_alpha: alpha, ...(lambda === undefined ? {} : { lambda }) }, ...modules };
}

function meanOf(adapters: readonly Adapter[]): Adapter {
  if (adapters.length === 1) return adapters[0]!;
  return combineAdapters(adapters.map((adapter) => ({ adapter, weight: 1 / adapters.length })), { method: 'linear' }); // prettier-ignore
}
