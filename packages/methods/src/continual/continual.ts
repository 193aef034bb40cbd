/** @file Continual learning: trains one adapter on tasks in sequence and measures forgetting after each. */

import { type Adapter, combineAdapters, evaluate, type LoraOptions, type Model, OnnxLoraError, previewLora, train, type TrainEvent, type TrainOptions } from '@onnx-lora/sdk'; // prettier-ignore
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { guardedTask } from '@onnx-lora/sdk/plugin';
import { type Metrics, type Task, worseMetric } from '@onnx-lora/sdk/tasks';
import { InputSpaces, nextTaskStart } from './infLora.ts';
import { Journal, type MeasuredBase } from './journal.ts';
import { nextStage } from './nextStage.ts';
import { withReplay } from './withReplay.ts';

/**
 * How earlier tasks are protected. `sequential`: not at all. `replay`: trains some of their examples again. `o-lora`: a
 * LoRA per task, orthogonal to the earlier ones. `inf-lora`: the same, in input directions that no earlier task needs.
 * `sd-lora`: a LoRA per task, with trained magnitudes of the earlier ones. `ewc`: a penalty on changes of weights that
 * mattered. `merge`: a LoRA per task from the base; the result is their mean.
 */
export type ContinualMethod = 'sequential' | 'replay' | 'o-lora' | 'inf-lora' | 'sd-lora' | 'ewc' | 'merge';

/** All methods of {@link continual}. */
export const continualMethods: readonly ContinualMethod[] = ['sequential', 'replay', 'o-lora', 'inf-lora', 'sd-lora', 'ewc', 'merge']; // prettier-ignore

const tuned: readonly ContinualMethod[] = ['o-lora', 'sd-lora', 'ewc'];

/** Options of {@link continual}, besides those of `train`. */
export interface ContinualOptions extends Omit<TrainOptions, 'task' | 'from' | 'resume' | 'stopAfter'> {
  /** The tasks by name, in training order. */
  readonly tasks: Readonly<Record<string, Task>>;
  /** How earlier tasks are protected; `sequential` by default. */
  readonly method?: ContinualMethod;
  /** LoRA options; r 8 and alpha 16 by default. Methods that are tuners take no other tuner and no `init`. */
  readonly lora?: LoraOptions;
  /** For `replay`: examples per earlier task; 100 by default. */
  readonly replayExamples?: number;
  /** For `o-lora` and `ewc`: weight of the earlier tasks; 0.5 and 1000 by default. */
  readonly lambda?: number;
  /** Folder of finished adapters, scores and the running task's checkpoints. Repeating the call resumes exactly. */
  readonly checkpoints?: NonNullable<TrainOptions['checkpoints']>;
  /** Called after each task with its scores; at once for tasks that an earlier call finished. */
  readonly onTask?: (task: string, scores: readonly number[]) => void;
  /** Called with each training event of a task. */
  readonly onEvent?: (task: string, event: TrainEvent) => void;
}

/** Result of {@link continual}. */
export interface ContinualReport {
  /** The adapter after the last task. */
  readonly adapter: Adapter;
  /** Task names, in training order. */
  readonly tasks: readonly string[];
  /** The metric of the scores: the requested one where `evaluate` reports it, else the first of the tasks'. */
  readonly metric: string;
  /** The base's score per task. */
  readonly base: readonly number[];
  /** `scores[i][j]`: score of task j after training task i. */
  readonly scores: readonly (readonly number[])[];
  /** Mean score of all tasks after the last. */
  readonly average: number;
  /** Mean drop from a task's best score to its final one, without the last task (Chaudhry et al. 2018). */
  readonly forgetting: number;
  /** Mean gain over the base before a task's training, without the first task (Lopez-Paz and Ranzato 2017). */
  readonly forwardTransfer: number;
}

/**
 * Trains one task after the other, and measures all of them after each.
 * @example
 * const { scores, forgetting } = await continual(model, {
 *   tasks: { turned: imageClassification('turned'), inverted: imageClassification('inverted') },
 *   method: 'replay',
 *   lora: { targetModules: ['query', 'value'] },
 *   steps: 200,
 *   checkpoints: { folder: 'runs/shifts' },
 * });
 * @throws OnnxLoraError `CONFIG_INVALID` for fewer than two tasks, different labels, and an unknown method; `CANCELLED`
 *   by the signal (the same call resumes where there are `checkpoints`); as `train`
 */
export async function continual(model: Model, options: ContinualOptions): Promise<ContinualReport> {
  const { tasks, method = 'sequential', lora = {}, replayExamples = 100, lambda, checkpoints, onTask, onEvent, ...training } = options; // prettier-ignore
  const names = Object.keys(tasks);
  if (names.length < 2) throw new OnnxLoraError('CONFIG_INVALID', 'There must be at least two tasks to learn one after the other. Name more.'); // prettier-ignore
  if (names.some((name) => /^\d+$/.test(name))) throw new OnnxLoraError('CONFIG_INVALID', 'A task is called by a whole number, and objects have such keys in an order of their own. Give tasks names such as "first".'); // prettier-ignore
  const first = startOf(method, lora, lambda);
  // Fails on wrong targets before data are read.
  previewLora(model, first);
  await requireAlike(model, tasks, method);
  const seed = training.seed ?? 1;
  const { signal: _s, provider: _p, threads: _t, memory: _m, cachePrefix: _c, prefetch: _f, ...numbers } = training;
  const about = { base: await model.digest(), tasks: names, method, lora, replayExamples, lambda, ...numbers };
  const journal = checkpoints && (await Journal.open(checkpoints, about));
  const measure = async (adapter?: Adapter): Promise<Metrics[]> => {
    const found: Metrics[] = [];
    const { provider, threads, onBadSample } = training;
    const machine = withoutUndefined({ adapter, provider, threads, onBadSample });
    for (const name of names) found.push((await evaluate(model, { task: tasks[name]!, ...machine })).metrics);
    return found;
  };
  const { metric, base } = journal?.base ?? (await measuredBase(measure, training.metric));
  const scored = async (adapter: Adapter): Promise<number[]> => (await measure(adapter)).map((metrics) => metrics[metric] ?? NaN); // prettier-ignore
  if (!journal?.base) await journal?.begin({ metric, base });
  const spaces = method === 'inf-lora' ? new InputSpaces() : undefined;
  const adapters: Adapter[] = [];
  const scores: (readonly number[])[] = [];
  const current = (): Adapter => (method === 'merge' ? meanOf(adapters) : adapters.at(-1)!);
  for (const [i, name] of names.entries()) {
    const earlier = names.slice(0, i).map((each) => tasks[each]!);
    const task = method === 'replay' && i > 0 ? withReplay(tasks[name]!, earlier, replayExamples, seed) : tasks[name]!;
    const before = i > 0 && method !== 'merge' ? nextStage(adapters.at(-1)!, seed + i) : undefined;
    const from = spaces ? await nextTaskStart(model, { ...training, lora, task }, spaces, before) : before;
    const finished = journal?.finished[i];
    if (finished) adapters.push(await journal!.adapterOf(i));
    else {
      const run = await train(model, { ...training, ...(from ? { from } : { lora: first }), task, ...journal?.trainingOf(i) }); // prettier-ignore
      for await (const event of run) onEvent?.(name, event);
      adapters.push((await run.done).adapter);
    }
    spaces?.learned();
    scores.push(finished?.scores ?? (await scored(current())));
    if (journal && !finished) adapters[i] = await journal.finish(adapters[i]!, { task: name, scores: scores[i]! });
    onTask?.(name, scores[i]!);
  }
  return { adapter: current(), tasks: names, metric, base, scores, ...summary(scores, base, isLower(metric, training.metric)) }; // prettier-ignore
}

/** Average, forgetting and forward transfer of a matrix of scores. */
export function summary(
  scores: readonly (readonly number[])[],
  base: readonly number[],
  isLower: boolean = false,
): Pick<ContinualReport, 'average' | 'forgetting' | 'forwardTransfer'> {
  const better = isLower ? -1 : 1;
  const last = scores.at(-1)!;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const best = (task: number): number => Math.max(...scores.slice(task, -1).map((row) => better * row[task]!));
  return {
    average: mean(last),
    forgetting: mean(last.slice(0, -1).map((score, task) => best(task) - better * score)),
    forwardTransfer: mean(last.slice(1).map((_, task) => better * (scores[task]![task + 1]! - base[task + 1]!))),
  };
}

function isLower(name: string, asked: ContinualOptions['metric']): boolean {
  const choice = typeof asked === 'object' ? asked : { name };
  return worseMetric({ [name]: 0 }, { [name]: 1 }, choice) !== undefined;
}

/** The base's scores, by the requested metric where `evaluate` reports it, else by the first. */
async function measuredBase(
  measure: () => Promise<readonly Metrics[]>,
  asked: ContinualOptions['metric'],
): Promise<MeasuredBase> {
  const found = await measure();
  const names = Object.keys(found[0]!);
  const name = typeof asked === 'object' ? asked.name : asked;
  const metric = name !== undefined && names.includes(name) ? name : names[0]!;
  return { metric, base: found.map((metrics) => metrics[metric] ?? NaN) };
}

/** @throws OnnxLoraError `CONFIG_INVALID` for tasks that one adapter cannot learn */
async function requireAlike(model: Model, tasks: ContinualOptions['tasks'], method: ContinualMethod): Promise<void> {
  let first: { readonly name: string; readonly labels: string } | undefined;
  for (const [name, task] of Object.entries(tasks)) {
    const { head } = await guardedTask(task).prepare(model);
    const labels = head?.labels.join('\n') ?? '';
    if (head && method === 'merge') throw new OnnxLoraError('CONFIG_INVALID', `The labels of "${name}" are not the model's, so each task would have a head of its own, and of these there is no mean. Take another method than merge.`); // prettier-ignore
    if (first && labels !== first.labels) throw new OnnxLoraError('CONFIG_INVALID', `The tasks "${first.name}" and "${name}" have different labels, and one adapter has one head. Give both the same labels, or train an adapter for each.`); // prettier-ignore
    first ??= { name, labels };
  }
}

function startOf(method: ContinualMethod, lora: LoraOptions, lambda: number | undefined): LoraOptions {
  if (!continualMethods.includes(method)) throw new OnnxLoraError('CONFIG_INVALID', `There is no method "${method}" to learn tasks one after the other. Methods are ${continualMethods.join(', ')}.`); // prettier-ignore
  const { tuner, r = 8, loraAlpha: alpha = 16, ...others } = lora;
  const isTuner = tuned.includes(method);
  const own = (['tuner', 'initLoraWeights'] as const).find((name) => lora[name] !== undefined);
  if (own !== undefined && (isTuner || method === 'inf-lora')) throw new OnnxLoraError('CONFIG_INVALID', `The method ${method} says itself how the adapter is made, and lora.${own} does so too. Leave it out, or take sequential, replay or merge.`); // prettier-ignore
  if (isTuner) return { ...others, tuner: { name: method, r, lora_alpha: alpha, ...withoutUndefined({ lambda }) } };
  return tuner === undefined ? { ...others, r, loraAlpha: alpha } : lora;
}

function meanOf(adapters: readonly Adapter[]): Adapter {
  if (adapters.length === 1) return adapters[0]!;
  return combineAdapters(adapters.map((adapter) => ({ adapter, weight: 1 / adapters.length })), { method: 'linear' }); // prettier-ignore
}
