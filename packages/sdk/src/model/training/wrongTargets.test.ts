/** @file A label outside the classes ends a run before its batch is computed, with the example's name; so does a batch without counted labels. */

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { caseFolders } from '../../../../../test/support/caseFolders.ts';
import type { PreparedTask, Task } from '../../plugin/preparedTask.ts';
import { Random } from '../../runtime/random.ts';
import { float32, int64, stack, type Tensor } from '../../runtime/tensor.ts';
import { crossEntropy, ctc, meanSquaredError, negativeLogLikelihood, softmaxFocal } from '../../train/losses/index.ts';
import { openModel } from '../openModel.ts';
import { train } from '../train.ts';
import type { TrainOptions } from './options/options.ts';

const model = await openModel(path.join(caseFolders().find(([name]) => name === 'vit-v4')![1], 'model.onnx'));
const [, channels, height, width] = model.inputs['pixel_values']!.dims as number[];
const classes = model.outputs['logits']!.dims![1] as number;

interface Example {
  readonly pixels: Tensor;
  readonly label: number;
}

type Loss = PreparedTask['loss'];

/** A picture of noise for each label, called `pictures/N.png`. */
function task(labels: readonly number[], loss: Loss, more: Partial<PreparedTask<Example>> = {}): Task<Example> {
  return {
    name: 'noise',
    prepare: () =>
      Promise.resolve({
        train: {
          length: labels.length,
          nameOf: (index: number) => `pictures/${index}.png`,
          get: (index: number) => {
            const random = new Random(index);
            const data = Float32Array.from({ length: channels! * height! * width! }, () => random.uniform(-1, 1));
            return Promise.resolve({ pixels: float32(data, [channels!, height!, width!]), label: labels[index]! });
          },
        },
        collate: (examples) =>
          Promise.resolve({
            inputs: { pixel_values: stack(examples.map(({ pixels }) => pixels)) },
            targets: { labels: int64(examples.map(({ label }) => label), [examples.length]) }, // prettier-ignore
          }),
        loss,
        metrics: () => {
          throw new Error('not used');
        },
        ...more,
      }),
  };
}

async function run(of: Task<Example>, options: Partial<TrainOptions> = {}): Promise<number> {
  const started = await train(model, { task: of as Task, lora: { r: 1, targetModules: ['query'] }, steps: 2, batchSize: 4, provider: 'cpu', threads: 1, ...options }); // prettier-ignore
  return (await started.done).skippedSteps;
}

const labelled: Readonly<Record<string, Loss>> = {
  crossEntropy: (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!),
  'crossEntropy of labels in another form': (g, { logits }, { labels }) =>
    crossEntropy(g, logits!, g.Reshape(g.Cast(labels!, 6), [4])),
  negativeLogLikelihood: (g, { logits }, { labels }) => negativeLogLikelihood(g, g.Log(g.Softmax(logits!, 1)), labels!),
  softmaxFocal: (g, { logits }, { labels }) => softmaxFocal(g, logits!, labels!),
  ctc: (g, { logits }, { labels }) => ctc(g, g.Reshape(logits!, [4, 1, classes]), g.Reshape(labels!, [4, 1])),
};

describe.each(Object.entries(labelled))('a label that is no class, in %s', (_, loss) => {
  it.each([classes, 2 ** 32 + 1, ...(loss === labelled['ctc'] ? [] : [-1])])(
    'is named with its example: %d',
    async (bad) => {
      await expect(run(task([0, 1, bad, 1], loss))).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringMatching(
          new RegExp(
            `^Step 1: The label ${bad} in the target "labels" is no class: the scores are of ${classes} classes, so that labels go from 0 to ${classes - 1}.*It is that of the example 2 \\(pictures/2\\.png\\)`,
          ),
        ) as string,
      });
    },
  );
});

it('is named in batches that are accumulated too', async () => {
  const of = task([0, 1, 0, 1, 0, 1, classes, 1], labelled['crossEntropy']!);
  await expect(run(of, { accumulationSteps: 2 })).rejects.toThrow(/the example 6 \(pictures\/6\.png\)/);
});

describe('a batch of which nothing counts', () => {
  const none = [-100, -100, -100, -100];

  it.each([
    ['crossEntropy', labelled['crossEntropy']!, {}],
    ['negativeLogLikelihood', labelled['negativeLogLikelihood']!, {}],
    ['softmaxFocal', labelled['softmaxFocal']!, {}],
    ['with lossWeight', labelled['crossEntropy']!, { lossWeight: () => 0 }],
  ])('says so, and nothing of learning rates: %s', async (_name, loss, more: Partial<PreparedTask<Example>>) => {
    const failure = await run(task(none, loss, more)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'LOSS_NOT_FINITE' });
    expect((failure as Error).message).toMatch(
      /^Step 1: Nothing of the batch counts, so that there is no mean loss: all 4 values of the target "labels" are left out \(-100 does not count\)/,
    );
    expect((failure as Error).message).not.toMatch(/learning rate/);
  });

  it('by a mask', async () => {
    const loss: Loss = (g, { logits }, { labels }) => meanSquaredError(g, logits!, g.Mul(logits!, 0.5), { mask: labels! }); // prettier-ignore
    await expect(run(task([0, 0, 0, 0], loss))).rejects.toThrow(/all 4 values of the target "labels" are 0\./);
  });

  it('is left out where it is only a part of what is accumulated', async () => {
    const lossWeight = ({ labels }: { labels?: Tensor }): number =>
      [...(labels!.data as BigInt64Array)].filter((label) => label !== -100n).length;
    // One of two batches of four, in any order, has no counted label.
    const labels = [...none, 1, -100, -100, -100];
    const options = { accumulationSteps: 2, steps: 1 };
    await expect(run(task(labels, labelled['crossEntropy']!, { lossWeight }), options)).resolves.toBe(0);
    await expect(run(task(labels, labelled['crossEntropy']!), options)).rejects.toThrow(/Nothing of the batch counts/);
  });

  it('is a step that may be skipped', async () => {
    await expect(run(task(none, labelled['crossEntropy']!), { onBadLoss: 'skip' })).resolves.toBe(2);
  });
});
