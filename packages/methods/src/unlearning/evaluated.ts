/** @file Losses and class scores of single examples. */

import { type Adapter, type Feeds, type Model, modelForAdapter, OnnxLoraError, type Session, type Tensor } from '@onnx-lora/sdk'; // prettier-ignore
import { sessionModel } from '@onnx-lora/sdk/plugin';
import { batchesOf, type Dataset, type PreparedTask, type RunnableOptions } from '@onnx-lora/sdk/tasks';
import { lossFeeds, lossGraph, OUTPUT, TARGET } from '../lossGraph.ts';

/** A model with or without an adapter, and the examples to run. */
export interface EvaluatedModel {
  readonly model: Model;
  readonly adapter?: Adapter | undefined;
  readonly data: PreparedTask;
  readonly examples: Dataset<unknown>;
  readonly machine?: Pick<RunnableOptions, 'provider' | 'threads'>;
}

/**
 * The loss of each example, in order.
 * @throws OnnxLoraError `CONFIG_INVALID` for a task whose loss compares examples; as `model.session`
 */
export async function lossesOf(asked: EvaluatedModel): Promise<Float64Array> {
  const { model, data, examples } = asked;
  if (!data.lossWeight)
    throw new OnnxLoraError('CONFIG_INVALID', 'One example has no loss by itself in a task without lossWeight, as those are whose loss compares examples. Take a task of classes, labels, numbers or texts, or give yours a lossWeight.'); // prettier-ignore
  const losses = new Float64Array(examples.length);
  let loss: { readonly shapes: string; readonly session: Session } | undefined;
  try {
    for await (const { example, feeds } of saidOf(asked)) {
      const shapes = Object.values(feeds).map(({ dims }) => dims.join('x')).join(); // prettier-ignore
      if (loss?.shapes !== shapes) {
        await loss?.session.release();
        const source = { ...sessionModel(lossGraph(model, data, feeds)), name: 'loss' };
        loss = { shapes, session: await model.runtime.createSession(source, { provider: 'cpu', threads: 1 }) };
      }
      losses[example] = Number(Object.values(await loss.session.run(feeds))[0]!.data[0]);
    }
  } finally {
    await loss?.session.release();
  }
  return losses;
}

export interface ClassScores {
  /** Output with the scores, `[batch, …, classes]`. */
  readonly output: string;
  /** Target with the class labels, `[batch, …]`. */
  readonly labels: string;
  /** Per example `[…, classes]`, in order. */
  readonly scores: readonly Tensor[];
}

/**
 * The scores that the loss compares with labels.
 * @throws OnnxLoraError `CONFIG_INVALID` for another loss; `DATA_INVALID` for several sizes; as `model.session`
 */
export async function scoresOf(asked: EvaluatedModel): Promise<ClassScores> {
  const scores: Tensor[] = [];
  let names: Pick<ClassScores, 'output' | 'labels'> | undefined;
  for await (const { feeds } of saidOf(asked)) {
    names ??= scoreNames(asked, feeds);
    const { dims: [, ...size], ...own } = feeds[OUTPUT + names.output]!; // prettier-ignore
    if (scores[0] && scores[0].dims.join() !== size.join())
      throw new OnnxLoraError('DATA_INVALID', `The model gives [${scores[0].dims.join(', ')}] scores for one example and [${size.join(', ')}] for another, and kl needs examples of one size. Unlearn by npo or bounded, or cut the examples to one size.`); // prettier-ignore
    scores.push({ ...own, dims: size });
  }
  return { ...names!, scores };
}

interface Said {
  readonly example: number;
  readonly feeds: Feeds;
}

async function* saidOf({ model, adapter, data, examples, machine }: EvaluatedModel): AsyncGenerator<Said> {
  const whole = adapter ? modelForAdapter(model, adapter) : model;
  const own = whole.withInputSizes(data.inputSizes ?? {}).withOutputs(data.outputs ?? []);
  const session = await own.session({ ...machine, ...(adapter ? { adapters: { adapter } } : {}) });
  try {
    const source = { dataset: examples, collate: (batch: readonly unknown[]) => data.collate(batch) };
    for await (const { indices, batch } of batchesOf(source, 1)) {
      const outputs = await session.run(batch.inputs, { adapter: adapter ? 'adapter' : null });
      yield { example: indices[0]!, feeds: lossFeeds(outputs, batch.targets) };
    }
  } finally {
    await session.release();
  }
}

/** The loss's one output of scores, and the integer labels of its rows. */
function scoreNames({ model, data }: EvaluatedModel, feeds: Feeds): Pick<ClassScores, 'output' | 'labels'> {
  const read = new Set(lossGraph(model, data, feeds).graph!.node!.flatMap(({ input = [] }) => input));
  const [output, ...others] = [...read].filter((name) => name.startsWith(OUTPUT));
  const rows = output === undefined ? '' : feeds[output]!.dims.slice(0, -1).join();
  const labels = [...read].find((name) => name.startsWith(TARGET) && /int/.test(feeds[name]!.type) && feeds[name]!.dims.join() === rows); // prettier-ignore
  if (output === undefined || others.length > 0 || labels === undefined)
    throw new OnnxLoraError('CONFIG_INVALID', 'kl compares what the model says of each class, and the loss of the task is not that of scores of classes with one label each. Unlearn by npo, bounded or difference.'); // prettier-ignore
  return { output: output.slice(OUTPUT.length), labels: labels.slice(TARGET.length) };
}
