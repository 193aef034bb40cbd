/** @file Evaluates a task's loss for many blends of adapters in one session. */

import { type Adapter, type AdapterBlend, type AdapterSession, type Feeds, type Model, OnnxLoraError, type Session } from '@onnx-lora/sdk'; // prettier-ignore
import { guardedTask, sessionModel } from '@onnx-lora/sdk/plugin';
import { batchesOf, type PreparedTask, type RunnableOptions, type Task } from '@onnx-lora/sdk/tasks';
import { lossFeeds, lossGraph } from '../lossGraph.ts';

/** A batch and its weight in the mean loss. */
interface Weighed {
  readonly inputs: Feeds;
  readonly targets: Feeds;
  readonly weight: number;
}

/** Options of a run over the examples. */
export interface BlendLossOptions extends Pick<RunnableOptions, 'provider' | 'threads' | 'allowBaseMismatch'> {
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
}

/** The loss of a task's training examples, which stay in memory; a blend costs its forward passes. */
export class BlendLoss implements AsyncDisposable {
  readonly #model: Model;
  readonly #data: PreparedTask;
  readonly #batches: readonly Weighed[];
  readonly #session: AdapterSession;
  readonly #losses = new Map<string, Session>();

  private constructor(model: Model, data: PreparedTask, batches: readonly Weighed[], session: AdapterSession) {
    this.#model = model;
    this.#data = data;
    this.#batches = batches;
    this.#session = session;
  }

  /**
   * Reads the examples and loads the model with the adapters.
   * @throws OnnxLoraError `DATA_INVALID` without examples and for a new head; as `task.prepare` and `model.session`
   */
  static async open(
    model: Model,
    task: Task,
    adapters: Readonly<Record<string, Adapter>>,
    { batchSize = 32, ...machine }: BlendLossOptions = {},
  ): Promise<BlendLoss> {
    const data = await guardedTask(task).prepare(model);
    if (data.head) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The data of the task "${task.name}" need a new head for ${data.head.labels.slice(0, 10).join(', ')}, which no blend of adapters trains. Give data with the labels of "${model.name}".`,
      );
    }
    const batches: Weighed[] = [];
    const source = { dataset: data.train, collate: (examples: readonly unknown[]) => data.collate(examples) };
    for await (const { batch, examples } of batchesOf(source, batchSize))
      batches.push({ ...batch, weight: data.lossWeight?.(batch.targets) ?? examples.length });
    if (batches.length === 0) throw new OnnxLoraError('DATA_INVALID', `The task "${task.name}" has no examples to train on. Give it some.`); // prettier-ignore
    const session = await model
      .withInputSizes(data.inputSizes ?? {})
      .withOutputs(data.outputs ?? [])
      .session({ adapters, ...machine });
    return new BlendLoss(model, data, batches, session);
  }

  /** Mean loss over all examples of the base with Σ wᵢ·ΔWᵢ; weights by adapter name. */
  async of(weights: AdapterBlend): Promise<number> {
    let [sum, total] = [0, 0];
    for (const { inputs, targets, weight } of this.#batches) {
      const outputs = await this.#session.run(inputs, { adapter: weights });
      sum += weight * (await this.#lossOf(outputs, targets));
      total += weight;
    }
    return sum / total;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#session, ...this.#losses.values()].map((each) => each.release()));
  }

  async #lossOf(outputs: Feeds, targets: Feeds): Promise<number> {
    const feeds = lossFeeds(outputs, targets);
    const shapes = JSON.stringify(Object.values(feeds).map(({ dims }) => dims));
    const session = this.#losses.get(shapes) ?? (await this.#lossSession(feeds));
    this.#losses.set(shapes, session);
    const [loss] = Object.values(await session.run(feeds));
    return Number(loss!.data[0]);
  }

  #lossSession(feeds: Feeds): Promise<Session> {
    const source = sessionModel(lossGraph(this.#model, this.#data, feeds));
    return this.#model.workerRuntime.createSession({ ...source, name: 'loss' }, { provider: 'cpu', threads: 1 });
  }
}
