/** @file Checks tasks on a model and data. */

import { isDeepStrictEqual } from 'node:util';
import { OnnxLoraError, attachHead, type LoraOptions, type Model, type Tensor } from '@onnx-lora/sdk';
import type { Batch, Dataset, Metrics, PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import { planAdapter } from '@onnx-lora/sdk/core';
import { checkGradients } from '../gradients/checkGradients.ts';
import { call, failed, failureOf, findingsLater } from '../failures.ts';
import { randomTrainer } from '../random.ts';
import { portProblems, valueProblems } from './ports.ts';

/** Options of {@link checkTask}. */
export interface CheckTaskOptions {
  /** The adapter; by default the targets that the model's family recommends, or all linear layers, of rank 2. */
  readonly lora?: LoraOptions;
}

const TRAINING = 'training data';

/** A draw far from the first, since randomness is seeded by the draw. */
const DRAW = 1234;

type Outputs = Readonly<Record<string, Tensor>>;

const SAME = 1e-3;

/**
 * Checks a task on a model and its data, with the first two examples:
 *
 * - examples are reproducible, without a draw and with the same draw, and their rows with any draw if
 *   `isDeterministic`; weights, lengths and names match the length of the data;
 * - `collate` feeds exactly the model's inputs, with their types and shapes and finite numbers;
 * - the loss is a finite scalar whose gradient reaches the trained parameters and matches finite differences;
 * - with `lossWeight`, the loss of both examples is the weighted mean of their losses;
 * - metrics are numbers, reproducible, and equal for one batch of two and two batches of one.
 * @example
 * assert.deepEqual(await checkTask(forecast('week.csv'), model), []);
 * @param task a task with at least two examples
 * @param model a small model: the gradients take some hundred runs of it
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkTask<Example>(
  task: Task<Example>,
  model: Model,
  options: CheckTaskOptions = {},
): Promise<string[]> {
  return findingsLater(async () => {
    const data = await call('prepare', () => task.prepare(model));
    if (data.train.length < 2) return ['the data must have at least two examples'];
    const { fed, modules } = call("the model with the task's head, outputs and inputSizes", () => modelOf(model, data));
    const lora = loraOf(model, options.lora, modules);
    await call('begin', () => data.begin?.({ model: fed, options: { threads: 1, worker: false }, batchSize: 2 }));
    const batch = batcher(data);
    const examples = [await get(TRAINING, data.train, 0), await get(TRAINING, data.train, 1)];
    const both = await batch(examples);
    const single = [await batch([examples[0]!]), await batch([examples[1]!])];
    const problems = [
      ...(await findingsLater(() => dataProblems(TRAINING, data.train))),
      ...(data.validation ? await findingsLater(() => dataProblems('held-out data', data.validation!)) : []),
      ...(await findingsLater(() => drawProblems(data))),
      ...(isDeepStrictEqual(await batch(examples), both) ? [] : ['collate gives other numbers the second time']),
      ...[both, ...single].flatMap((each) => batchProblems(each, fed)),
    ];
    if (problems.length > 0) return [...new Set(problems)];
    return [
      ...(await findingsLater(() => lossProblems(data, fed, lora, both, single))),
      ...(await metricsProblems(data, fed, both, single)),
    ];
  });
}

/** The model as the task uses it, with its head, outputs and input sizes. */
function modelOf<Example>(
  model: Model,
  { head, outputs = [], inputSizes = {} }: PreparedTask<Example>,
): { readonly fed: Model; readonly modules: readonly string[] } {
  const headed = head && attachHead(model, head);
  const fed = (headed?.model ?? model).withOutputs(outputs).withInputSizes(inputSizes);
  return { fed, modules: headed?.modules ?? [] };
}

function get<Example>(what: string, data: Dataset<Example>, index: number, draw?: number): Promise<Example> {
  return call(`get(${index}) of the ${what}`, () => data.get(index, draw));
}

function batcher<Example>(data: Pick<PreparedTask<Example>, 'collate'>): PreparedTask<Example>['collate'] {
  return (examples) => call('collate', () => data.collate(examples));
}

function loraOf(model: Model, lora: LoraOptions | undefined, modules: readonly string[]): LoraOptions {
  const chosen = lora ?? { r: 2, ...(model.family ? {} : { targetModules: 'all-linear' }) };
  return modules.length === 0 ? chosen : { ...chosen, modulesToSave: [...(chosen.modulesToSave ?? []), ...modules] };
}

async function dataProblems(what: string, data: Dataset<unknown>): Promise<string[]> {
  const same = async (draw?: number): Promise<boolean> =>
    isDeepStrictEqual(await get(what, data, 0, draw), await get(what, data, 0, draw));
  const lists = { weights: data.weights, lengths: data.lengths };
  return [
    ...((await same()) ? [] : [`of the ${what}, an example without a draw is another the second time`]),
    ...((await same(DRAW)) ? [] : [`of the ${what}, an example is another the second time, with the same draw`]),
    ...Object.entries(lists).flatMap(([name, list]) =>
      !list || (list.length === data.length && list.every((each) => Number.isFinite(each) && each >= 0))
        ? []
        : [`${name} of the ${what} must be ${data.length} numbers that are not negative`],
    ),
    ...(data.nameOf && call(`nameOf(0) of the ${what}`, () => data.nameOf!(0)) === ''
      ? [`of the ${what}, the first example has an empty name`]
      : []),
  ];
}

/** Compares the row of an unchanging example between draws, except for inputs that may change. */
async function drawProblems<Example>(data: Pick<PreparedTask<Example>, 'train' | 'collate'>): Promise<string[]> {
  const { train } = data;
  if (!train.isDeterministic) return [];
  const row = async (draw: number): Promise<[string, Tensor][]> => {
    const { inputs } = await batcher(data)([await get(TRAINING, train, 0, draw)]);
    return Object.entries(inputs).filter(([name]) => !train.changingInputs?.includes(name));
  };
  const later = new Map(await row(DRAW + 1));
  return (await row(DRAW))
    .filter(([name, tensor]) => !isDeepStrictEqual(tensor, later.get(name)))
    .map(([name]) => `of the training data, isDeterministic is true, but "${name}" differs from draw to draw`);
}

function batchProblems({ inputs, targets }: Batch, { inputs: ports }: Model): string[] {
  return [
    ...Object.keys(ports).filter((name) => !inputs[name]).map((name) => `collate does not feed "${name}"`), // prettier-ignore
    ...Object.keys(inputs).filter((name) => !ports[name]).map((name) => `collate feeds "${name}", which the model does not have`), // prettier-ignore
    ...Object.entries(inputs).flatMap(([name, tensor]) => [
      ...(ports[name] ? portProblems(`the feed "${name}"`, tensor, ports[name]) : []),
      ...valueProblems(`the feed "${name}"`, tensor),
    ]),
    ...Object.entries(targets).flatMap(([name, tensor]) => valueProblems(`the target "${name}"`, tensor)),
  ];
}

async function lossProblems(
  data: Pick<PreparedTask, 'loss' | 'lossWeight'>,
  model: Model,
  lora: LoraOptions,
  both: Batch,
  single: readonly Batch[],
): Promise<string[]> {
  const thrown: unknown[] = [];
  const loss: PreparedTask['loss'] = (g, outputs, targets) => {
    try {
      return data.loss(g, outputs, targets);
    } catch (error) {
      thrown.push(error);
      throw error;
    }
  };
  const { plan, config } = planAdapter(model, lora);
  const trainer = randomTrainer(model, plan, loss);
  try {
    const found = await trainer.lossAndGradients(both.inputs, both.targets);
    if (!Number.isFinite(found.loss)) return [`the loss of the first two examples is ${found.loss}`];
    const isReached = [...found.gradients.values()].some((gradient) => gradient.some((each) => each !== 0));
    if (!isReached) return ['no gradient of the loss reaches what is trained'];
    const gradients = config.useDora ? [] : await checkGradients(model, { lora, loss, ...both, elements: 2 });
    const weights =
      data.lossWeight && [both, ...single].map(({ targets }) => call('lossWeight', () => data.lossWeight!(targets)));
    const problems = gradients.flatMap(({ problem }) => (problem === undefined ? [] : [`the gradient of ${problem}`]));
    if (!weights) return problems;
    const [all, ...own] = weights as [number, ...number[]];
    if (!weights.every((each) => Number.isFinite(each) && each >= 0) || all === 0)
      return [...problems, `lossWeight must be a number above 0, but it is ${weights.join(', ')}`];
    let [sum, weight] = [0, 0];
    for (const [i, { inputs, targets }] of single.entries()) {
      if (own[i] === 0) continue;
      sum += own[i]! * (await trainer.lossAndGradients(inputs, targets)).loss;
      weight += own[i]!;
    }
    const mean = sum / weight;
    return isNear(mean, found.loss)
      ? problems
      : [
          ...problems,
          `the loss of two examples is ${found.loss}, but the mean of their losses by lossWeight is ${mean}: leave lossWeight out where rows are compared with each other`,
        ];
  } catch (error) {
    if (error instanceof OnnxLoraError) return [`the loss: ${error.message}`];
    return thrown.includes(error) ? [failed('loss', error)] : failureOf(error);
  } finally {
    await trainer.release();
  }
}

async function metricsProblems(
  data: Pick<PreparedTask, 'metrics'>,
  model: Model,
  both: Batch,
  single: readonly Batch[],
): Promise<string[]> {
  const session = await model.session({ threads: 1, provider: 'cpu', worker: false });
  try {
    const run = ({ inputs }: Batch): Promise<Outputs> => call('the model', () => session.run(inputs));
    const measured = async (batches: readonly Batch[]): Promise<Metrics> => {
      const collector = call('metrics', () => data.metrics());
      for (const batch of batches) {
        const found = await run(batch);
        call('update of the metrics', () => collector.update(found, batch.targets));
      }
      return call('result of the metrics', () => collector.result());
    };
    const metrics = async (): Promise<string[]> =>
      metricProblems(await measured([both]), await measured([both]), await measured(single));
    return await findingsLater(metrics);
  } finally {
    await session.release();
  }
}

function metricProblems(once: Metrics, again: Metrics, apart: Metrics): string[] {
  const names = Object.keys(once);
  return [
    ...(names.length === 0 ? ['there is no metric'] : []),
    ...names.filter((name) => typeof once[name] !== 'number').map((name) => `the metric "${name}" is no number`),
    ...(isDeepStrictEqual(once, again) ? [] : ['metrics of the same batch are others the second time']),
    ...names
      .filter((name) => !isNear(once[name]!, apart[name] ?? NaN))
      .map(
        (name) => `the metric "${name}" is ${once[name]} of one batch, but ${apart[name]} of the same examples in two`,
      ),
  ];
}

function isNear(a: number, b: number): boolean {
  return Object.is(a, b) || Math.abs(a - b) <= SAME * Math.max(1, Math.abs(a));
}
