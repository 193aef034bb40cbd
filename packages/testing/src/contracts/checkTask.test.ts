/** @file The check of tasks: a right one passes, and each mistake in a task is told. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxLoraError, type Model, openModel, float32, stack, type Tensor } from '@onnx-lora/sdk';
import {
  type Value,
  type Batch,
  type Dataset,
  type MetricCollector,
  type PreparedTask,
  type Task,
  meanSquaredError,
} from '@onnx-lora/sdk/tasks';
import { linearNet } from '../models/smallNets.ts';
import { publishModel } from '../models/publishModel.ts';
import { checkTask } from './checkTask.ts';

interface Example {
  readonly x: Tensor;
  readonly y: Tensor;
}

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tasks-'));
let model: Model;
beforeAll(async () => {
  model = await openModel(await publishModel(scratch, { model: linearNet({ inputs: 2, outputs: 1 }) }));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const examples: Dataset<Example> = {
  length: 3,
  isDeterministic: true,
  get: (i) => Promise.resolve({ x: float32([i, 1 - i], [2]), y: float32([i / 2], [1]) }),
};

const right: PreparedTask<Example> = {
  train: examples,
  collate: (batch) =>
    Promise.resolve({ inputs: { x: stack(batch.map(({ x }) => x)) }, targets: { y: stack(batch.map(({ y }) => y)) } }),
  loss: (g, outputs, targets) => meanSquaredError(g, outputs['logits']!, targets['y']!),
  lossWeight: ({ y }) => y!.data.length,
  metrics: () => {
    let [sum, count] = [0, 0];
    return {
      update({ logits }, { y }) {
        (logits!.data as Float32Array).forEach((each, i) => (sum += Math.abs(each - Number(y!.data[i]))));
        count += logits!.data.length;
      },
      result: () => ({ meanAbsoluteError: sum / count }),
    };
  },
};

function task(change: Partial<PreparedTask<Example>> = {}): Task<Example> {
  return { name: 'lines', prepare: () => Promise.resolve({ ...right, ...change }) };
}

it('a task that is right passes', async () => {
  expect(await checkTask(task(), model)).toEqual([]);
});

const fed = (inputs: Record<string, Tensor>): PreparedTask<Example>['collate'] => () => Promise.resolve({ inputs, targets: { y: float32([0, 1], [2, 1]) } }); // prettier-ignore

describe('examples and batches', () => {
  let draws = 0;
  const random = (): Promise<Example> => Promise.resolve({ x: float32([draws++, 1], [2]), y: float32([1], [1]) });
  it.each<[string, Partial<PreparedTask<Example>>, RegExp]>([
    [
      'random without a draw',
      { train: { length: 3, get: (i, draw) => (draw === undefined ? random() : examples.get(i)) } },
      /without a draw is another/,
    ],
    [
      'not seeded by the draw',
      { train: { length: 3, get: (i, draw) => (draw === undefined ? examples.get(i) : random()) } },
      /with the same draw/,
    ],
    [
      'only said to be deterministic',
      { train: { ...examples, get: (i, draw = 0) => examples.get(i + draw) } },
      /isDeterministic is true/,
    ],
    [
      'weighted by too few numbers',
      { train: { ...examples, weights: [1] } },
      /weights of the training data must be 3 numbers/,
    ],
    ['too few', { train: { ...examples, length: 1 } }, /at least two examples/],
    ['fed under another name', { collate: fed({ z: float32([1, 2, 3, 4], [2, 2]) }) }, /does not feed "x"|feeds "z"/],
    [
      'fed in another shape',
      { collate: fed({ x: float32([1, 2], [2, 1]) }) },
      /"x" has shape \[2, 1\], but the input takes \[batch, 2\]/,
    ],
    [
      'fed in another type',
      { collate: fed({ x: { type: 'int32', dims: [2, 2], data: Int32Array.of(1, 2, 3, 4) } }) },
      /"x" is int32/,
    ],
    ['fed as NaN', { collate: fed({ x: float32([1, NaN, 3, 4], [2, 2]) }) }, /"x" holds NaN at 1/],
  ])('that are %s', async (_, change, problem) => {
    // prettier-ignore
    const problems = await checkTask(task(change), model);
    expect(problems.length).toBeGreaterThan(0);
    for (const each of problems) expect(each).toMatch(problem);
  });
});

describe('losses, metrics and answers', () => {
  let calls = 0;
  it.each<[string, Partial<PreparedTask<Example>>, RegExp]>([
    [
      'a loss that is no number',
      { loss: (g, o, t) => g.Log(g.Neg(right.loss(g, o, t))) },
      /^the loss of the first two examples is NaN/,
    ],
    [
      'a loss of no output',
      { loss: (g, o, t) => meanSquaredError(g, o['logit']!, t['y']!) },
      /^the loss: .*the output "logit"/,
    ],
    [
      'a loss of no target',
      { loss: (g, o, t) => g.Mul(o['logits']!, t['mask']!) },
      /^the loss: .*the target "mask", but that does not exist. Outputs: logits; targets: y/,
    ],
    [
      'a loss that is no scalar',
      { loss: (g, o, t) => g.Sub(o['logits']!, t['y']!) },
      /^the loss: .*must be a scalar.*Reduce it/,
    ],
    [
      'a loss that mixes types',
      { loss: (g, o) => g.ReduceMean(g.Mul(o['logits']!, g.ints([2])), [0, 1], false) },
      /^the loss: .*Mul take "logits", which is float32, and "loss\/constant_0", which is int64/,
    ],
    [
      'a loss of unknown shape',
      { loss: (g, o) => g.emit('Cosine', [o['logits']!]) },
      /^the loss: .*shape unknown. Compute it/,
    ],
    [
      'a loss without a gradient',
      { loss: (g, o, t) => g.stopGradient(right.loss(g, o, t)) },
      /^no gradient of the loss reaches|^the loss: /,
    ],
    [
      'a gradient that is wrong',
      {
        loss: (g, o, t) =>
          right.loss(g, { logits: g.Sub(g.Mul(o['logits']!, 1.1), g.stopGradient(g.Mul(o['logits']!, 0.1))) }, t),
      },
      /^the gradient of /,
    ],
    ['a weight that is none', { lossWeight: () => 0 }, /^lossWeight must be a number above 0/],
    [
      'weights that are not the mean',
      { lossWeight: ({ y }) => y!.data.length * (1 + Number(y!.data[0])) },
      /^the loss of two examples is .* but the mean of their losses/,
    ],
    [
      'a loss that compares rows',
      { loss: (g, o, t) => g.Mul(right.loss(g, o, t), g.ReduceSum(t['y']!, [0, 1], false)) },
      /^the loss of two examples is/,
    ],
    ['no metric', { metrics: () => ({ update() {}, result: () => ({}) }) }, /^there is no metric$/],
    [
      'a metric of the last batch',
      {
        metrics: () => {
          let last = 0;
          return {
            update: ({ logits }) => {
              last = Number(logits!.data[0]);
            },
            result: () => ({ last }),
          };
        },
      },
      /^the metric "last" is .* of one batch/,
    ],
    [
      'a metric that is random',
      { metrics: () => ({ update() {}, result: () => ({ calls: calls++ * 1e-9 }) }) },
      /others the second time/,
    ],
  ])('%s', async (_, change, problem) => {
    // prettier-ignore
    const problems = await checkTask(task(change), model);
    expect(problems.length).toBeGreaterThan(0);
    for (const each of problems) expect(each).toMatch(problem);
  });
});

/** Error of a mistake in JavaScript. */
const broken = (): never => {
  throw new TypeError('x is not iterable');
};

describe('what a task throws', () => {
  const later = (): Promise<never> => Promise.resolve().then(broken);
  const collector = right.metrics();
  it.each<[string, Partial<PreparedTask<Example>>]>([
    ['get(1) of the training data', { train: { ...examples, get: (i) => (i === 1 ? later() : examples.get(i)) } }],
    ['get(0) of the held-out data', { validation: { ...examples, get: broken } }],
    ['nameOf(0) of the training data', { train: { ...examples, nameOf: broken } }],
    ['collate', { collate: broken }],
    ['collate', { collate: later }],
    ['loss', { loss: broken }],
    ['lossWeight', { lossWeight: broken }],
    ['metrics', { metrics: broken }],
    ['update of the metrics', { metrics: () => ({ ...collector, update: broken }) }],
    ['result of the metrics', { metrics: () => ({ ...collector, result: broken }) }],
  ])('in %s is a problem', async (what, change) => {
    expect(await checkTask(task(change), model)).toEqual([`${what} fails: x is not iterable`]);
  });

  it('in prepare is a problem, errors for users too', async () => {
    const prepare = (): Promise<never> => Promise.reject(new OnnxLoraError('DATA_INVALID', 'No rows. Add some.'));
    expect(await checkTask({ name: 'lines', prepare }, model)).toEqual(['prepare fails: No rows. Add some.']);
    expect(await checkTask(task({ outputs: ['inner'] }), model)).toEqual([
      expect.stringMatching(/^the model with the task's head, outputs and inputSizes fails: .*"inner"/),
    ]);
  });

  it('in one place hides nothing of another', async () => {
    const change = { lossWeight: () => 0, metrics: broken };
    expect(await checkTask(task(change), model)).toEqual([
      'lossWeight must be a number above 0, but it is 0, 0, 0',
      'metrics fails: x is not iterable',
    ]);
  });
});

it('the methods of a class have their this', async () => {
  class Lines implements PreparedTask<Example> {
    readonly train: Dataset<Example> = examples;

    collate(batch: readonly Example[]): Promise<Batch> {
      return this.train.length === 3 ? right.collate(batch) : Promise.reject(new Error('no data'));
    }

    loss(...given: Parameters<(typeof right)['loss']>): Value {
      return right.loss(...given);
    }

    metrics(): MetricCollector {
      return right.metrics();
    }
  }
  expect(await checkTask({ name: 'lines', prepare: () => Promise.resolve(new Lines()) }, model)).toEqual([]);
});
