/** @file `train`: from a model and a task to an adapter. */

import type { Adapter } from '../adapter/adapter.ts';
import { scalingAt } from '../adapter/moduleNames.ts';
import { OnnxLoraError } from '../errors.ts';
import type { Batch, PreparedTask, Task } from '../plugin/task.ts';
import { Random } from '../runtime/random.ts';
import type { Provider } from '../runtime/session.ts';
import { ParameterSet } from '../train/parameters.ts';
import { shuffledBatches } from '../train/sampler.ts';
import { scheduleFactor, type ScheduleName } from '../train/schedule.ts';
import { Trainer } from '../train/trainer.ts';
import { initialise } from './initialise.ts';
import type { LoraOptions } from './loraOptions.ts';
import { planLora } from './planLora.ts';
import type { Model } from './model.ts';

/** Options of {@link train}. */
export interface TrainOptions {
  readonly task: Task;
  readonly lora?: LoraOptions;
  /** Optimizer steps; by default those of `epochs`. */
  readonly steps?: number;
  /** Passes over the data; 3 by default, and only without `steps`. */
  readonly epochs?: number;
  /** Examples per step; 32 by default, or all when there are fewer. */
  readonly batchSize?: number;
  /** Highest learning rate; 1e-3 by default. */
  readonly lr?: number;
  /** Decoupled weight decay; 0.01 by default. */
  readonly weightDecay?: number;
  /** How the learning rate falls; `linear` to 0 by default. */
  readonly schedule?: ScheduleName;
  /** Steps over which the learning rate first rises; 0 by default. */
  readonly warmupSteps?: number;
  /** Seeds the initial weights and the order of examples; 0 by default. */
  readonly seed?: number;
  /** Batches that an initialisation may look at, where `lora.initLoraWeights` is one that does; 8 by default. */
  readonly initBatches?: number;
  readonly provider?: Provider;
  readonly threads?: number;
  /** Ends the run after the step under way, as `stop()` does. */
  readonly signal?: AbortSignal;
}

/** What one step reports. */
export interface StepEvent {
  /** Counted from 1. */
  readonly step: number;
  readonly steps: number;
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  readonly lr: number;
  /** Euclidean norm of all gradients together. */
  readonly gradNorm: number;
  readonly samplesPerSecond: number;
  /** Estimate, from the pace so far. */
  readonly secondsLeft: number;
}

/** What a run ends with. */
export interface TrainResult {
  readonly adapter: Adapter;
  /** Steps made. */
  readonly steps: number;
  /** Loss of the last step's batch. */
  readonly loss: number;
  readonly seconds: number;
  /** True when `stop()` or the signal ended it early. */
  readonly stopped: boolean;
}

/** A run under way. It goes on whether or not anybody iterates over it. */
export interface TrainingRun extends AsyncIterable<StepEvent> {
  /** Steps that it will make. */
  readonly steps: number;
  readonly provider: Exclude<Provider, 'auto'>;
  /** How many numbers are trained. */
  readonly trainableParameters: number;
  /** The adapter as trained so far. */
  readonly adapter: Adapter;
  /** Settles when the run ends; rejects with what ended it. */
  readonly done: Promise<TrainResult>;
  /** Ends the run after the step under way. */
  stop(): void;
}

/**
 * Trains an adapter. Returns once the first batch is loaded and the graph is built, so that mistakes in data, targets and
 * options are errors here; steps then follow on their own.
 *
 * @example
 * const run = await train(model, { task: imageClassification('photos'), lora: { r: 8 }, steps: 200 });
 * for await (const { step, loss } of run) console.log(step, loss);
 * await run.adapter.save('adapters/photos');
 *
 * @throws OnnxLoraError `DATA_INVALID`, `TARGET_NOT_FOUND`, `CONFIG_INVALID`, `NO_GRADIENT`, `PROVIDER_UNAVAILABLE`
 */
export async function train(model: Model, options: TrainOptions): Promise<TrainingRun> {
  const lr = positive('lr', options.lr ?? 1e-3);
  const planned = planLora(model, options.lora);
  const data = await options.task.prepare(model);
  const batchSize = Math.min(wholePositive('batchSize', options.batchSize ?? 32), data.train.length);
  const steps = wholePositive(
    'steps',
    options.steps ?? Math.ceil((positive('epochs', options.epochs ?? 3) * data.train.length) / batchSize),
  );
  const seed = options.seed ?? 0;
  const random = new Random(seed);
  const session = {
    ...(options.provider === undefined ? {} : { provider: options.provider }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  };
  const initial = await initialise({
    model,
    planned,
    data,
    session,
    seed,
    batches: wholePositive('initBatches', options.initBatches ?? 8),
    batchSize,
  });
  const { plan, config } = initial;
  const trainer = new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, outputs, targets) => data.loss(g, outputs, targets),
    ...(data.lossWeight ? { lossWeight: (targets) => data.lossWeight!(targets) } : {}),
    runtime: model.runtime,
    session,
    optimizer: { weightDecay: options.weightDecay ?? 0.01 },
    parameters: (inputs) =>
      ParameterSet.initial(inputs, random, (lowRank) => scalingAt(config, lowRank).scaling, initial.first),
    name: model.name,
  });
  const batches = shuffledBatches(data.train.length, batchSize, random);
  const first = await loadBatch(data, batches.next().value as number[]);
  const { provider, parameters } = await trainer.compile(first.inputs, first.targets);
  const digest = await model.digest();
  return new Run({
    trainer,
    data,
    batches,
    first,
    steps,
    batchSize,
    rate: (step) => lr * scheduleFactor(options.schedule ?? 'linear', step, steps, options.warmupSteps),
    signal: options.signal,
    provider,
    trainableParameters: parameters.count,
    makeAdapter: () => initial.finish(parameters.tensors(), digest),
  });
}

interface RunParts {
  readonly trainer: Trainer;
  readonly data: PreparedTask;
  readonly batches: Iterator<number[]>;
  readonly first: Batch;
  readonly steps: number;
  readonly batchSize: number;
  readonly rate: (step: number) => number;
  readonly signal: AbortSignal | undefined;
  readonly provider: Exclude<Provider, 'auto'>;
  readonly trainableParameters: number;
  readonly makeAdapter: () => Adapter;
}

class Run implements TrainingRun {
  readonly steps: number;
  readonly provider: Exclude<Provider, 'auto'>;
  readonly trainableParameters: number;
  readonly done: Promise<TrainResult>;
  readonly #parts: RunParts;
  readonly #events: StepEvent[] = [];
  #ended = false;
  #stopped = false;
  #wake: (() => void)[] = [];

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.steps = parts.steps;
    this.provider = parts.provider;
    this.trainableParameters = parts.trainableParameters;
    this.done = this.#work();
    // Who iterates gets the failure from the iterator; without this it would also count as unhandled.
    this.done.catch(() => undefined);
  }

  get adapter(): Adapter {
    return this.#parts.makeAdapter();
  }

  stop(): void {
    this.#stopped = true;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepEvent> {
    for (let next = 0; ;) {
      if (next < this.#events.length) yield this.#events[next++]!;
      else if (this.#ended) break;
      else await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    await this.done;
  }

  async #work(): Promise<TrainResult> {
    const { trainer, data, batches, first, batchSize, rate, signal } = this.#parts;
    const start = performance.now();
    const elapsed = (): number => (performance.now() - start) / 1000;
    let loss = NaN;
    let step = 0;
    try {
      let upcoming: Promise<Batch> = Promise.resolve(first);
      while (step < this.steps && !this.#stopped && !(signal?.aborted ?? false)) {
        const { inputs, targets } = await upcoming;
        // The next batch loads while this step computes.
        upcoming = step + 1 < this.steps ? loadBatch(data, batches.next().value as number[]) : upcoming;
        // A failure to load is reported when the batch is awaited, not as an unhandled rejection before.
        upcoming.catch(() => undefined);
        const lr = rate(step);
        const result = await atStep(step + 1, trainer.step(inputs, targets, lr));
        loss = result.loss;
        step++;
        const pace = elapsed() / step;
        this.#emit({
          ...result,
          step,
          steps: this.steps,
          lr,
          samplesPerSecond: batchSize / pace,
          secondsLeft: pace * (this.steps - step),
        });
        // Timers, signals and input get their turn: the runtime blocks the thread during a step.
        await new Promise((resolve) => setImmediate(resolve));
      }
      return { adapter: this.adapter, steps: step, loss, seconds: elapsed(), stopped: step < this.steps };
    } finally {
      await trainer.release();
      this.#ended = true;
      this.#notify();
    }
  }

  #emit(event: StepEvent): void {
    this.#events.push(event);
    this.#notify();
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }
}

async function atStep<T>(step: number, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof OnnxLoraError)
      throw new OnnxLoraError(error.code, `Step ${step}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function loadBatch(data: PreparedTask, indices: readonly number[]): Promise<Batch> {
  return data.collate(await Promise.all(indices.map((index) => data.train.get(index))));
}

function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, but it is ${value}.`);
}

function wholePositive(name: string, value: number): number {
  if (Number.isInteger(positive(name, value))) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a whole number, but it is ${value}.`);
}
