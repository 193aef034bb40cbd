/** @file The training step: feed a batch, fetch loss and gradients, move the parameters. */

import { OnnxLoraError } from '../errors.ts';
import type { ModelProto } from '../graph/proto.ts';
import { sessionModel } from '../graph/onnxFile.ts';
import type { AdapterInput, AdapterPlan } from '../lora/plan.ts';
import type { Runtime, Session, SessionOptions } from '../runtime/session.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import { AdamW, type AdamWOptions } from './adamW.ts';
import { cut, type Piece, pieceRows, rowsOf } from './microBatch.ts';
import type { ParameterSet } from './parameters.ts';
import { buildTrainingGraph, type LossFragment, type TrainingGraph } from './trainingGraph.ts';

/** What a step computes on the way. */
export interface StepResult {
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  /** Euclidean norm of all gradients together. */
  readonly gradNorm: number;
}

/** One batch's loss and gradients, in the graph's layout, by adapter input name. */
export interface LossAndGradients {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** What a trainer is made of. */
export interface TrainerRequest {
  readonly base: ModelProto;
  readonly plan: AdapterPlan;
  readonly loss: LossFragment;
  readonly runtime: Runtime;
  readonly session?: SessionOptions;
  readonly optimizer?: AdamWOptions;
  /**
   * How much a batch's loss counts when the loss of a larger batch is the mean over its pieces. With it a large batch is
   * computed in pieces; without it always at once.
   */
  readonly lossWeight?: (targets: Feeds) => number;
  /** How many rows a piece has, of a batch of so many rows and bytes of forward values; {@link pieceRows} by default. */
  readonly pieceRows?: (rows: number, forwardBytes: number) => number;
  /** Gives the parameters their first values, once the graph's inputs are known. */
  readonly parameters: (inputs: readonly AdapterInput[]) => ParameterSet;
  readonly name: string;
}

interface Compiled {
  readonly graph: TrainingGraph;
  readonly session: Session;
  /** Rows that one run takes; undefined where a batch is computed at once. */
  readonly rows: number | undefined;
}

/** Copies that the runtime may make of the weights to multiply faster; beyond it they cost more memory than they are worth. */
const PREPACK_BYTES = 512 << 20;

/**
 * Trains one adapter batch by batch. The graph is built for the shapes of the first batch, and again when a batch has
 * others.
 */
export class Trainer {
  readonly #request: TrainerRequest;
  readonly #optimizer: AdamW;
  #parameters: ParameterSet | undefined;
  #compiled: { key: string; value: Compiled } | undefined;

  constructor(request: TrainerRequest) {
    this.#request = request;
    this.#optimizer = new AdamW(request.optimizer);
  }

  /** The parameters as they are now; undefined before {@link Trainer.compile}. */
  get parameters(): ParameterSet | undefined {
    return this.#parameters;
  }

  /** Builds and loads the graph for batches of this shape, which the first step would otherwise do. */
  async compile(
    inputs: Feeds,
    targets: Feeds,
  ): Promise<{ readonly provider: Session['provider']; readonly parameters: ParameterSet }> {
    const { session } = await this.#compile(inputs, targets);
    return { provider: session.provider, parameters: this.#parameters! };
  }

  /** Computes loss and gradients without changing anything. */
  async lossAndGradients(inputs: Feeds, targets: Feeds): Promise<LossAndGradients> {
    const compiled = await this.#compile(inputs, targets);
    const { lossWeight } = this.#request;
    if (compiled.rows === undefined || !lossWeight) return this.#run(compiled, inputs, targets);
    const pieces = cut(inputs, targets, compiled.rows, rowsOf(inputs, targets)!);
    const total = pieces.reduce((sum, piece) => sum + lossWeight(piece.targets), 0);
    const gradients = new Map<string, Float32Array>();
    let loss = 0;
    for (const piece of pieces) {
      const share = lossWeight(piece.targets) / total;
      if (share === 0) continue;
      const part = await this.#run(compiled, piece.inputs, piece.targets);
      loss += share * part.loss;
      for (const [name, gradient] of part.gradients) addScaled(gradients, name, gradient, share);
    }
    return { loss: total === 0 ? NaN : loss, gradients };
  }

  async #run({ graph, session }: Compiled, inputs: Feeds, targets: Feeds): Promise<LossAndGradients> {
    const feeds: Record<string, Tensor> = { ...inputs };
    for (const [name, tensor] of Object.entries(targets)) feeds[graph.targetNames[name]!] = tensor;
    for (const { input, fed } of this.#parameters!.all) feeds[input.name] = fed;
    const outputs = await session.run(feeds);
    const gradients = new Map<string, Float32Array>();
    for (const { input, scale } of this.#parameters!.all) {
      const output = graph.gradients.get(input.name);
      if (output === undefined) continue;
      const gradient = outputs[output]!.data as Float32Array;
      // The graph differentiates by scale · value.
      gradients.set(input.name, scale === 1 ? gradient : gradient.map((each) => scale * each));
    }
    return { loss: outputs[graph.loss]!.data[0] as number, gradients };
  }

  /**
   * One optimizer step.
   *
   * @throws OnnxLoraError `LOSS_NOT_FINITE` before anything has moved, when loss or gradients are NaN or infinite
   */
  async step(inputs: Feeds, targets: Feeds, lr: number): Promise<StepResult> {
    const { loss, gradients } = await this.lossAndGradients(inputs, targets);
    const gradNorm = Math.sqrt([...gradients.values()].reduce((sum, gradient) => sum + sumOfSquares(gradient), 0));
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The ${Number.isFinite(loss) ? 'gradient' : 'loss'} became ${Number.isFinite(loss) ? gradNorm : loss}. Lower the learning rate (it is ${lr.toPrecision(3)}), and check the data for values that are not numbers. Nothing of this step went into the adapter.`,
      );
    }
    for (const { input, value } of this.#parameters!.all) {
      const gradient = gradients.get(input.name);
      if (gradient) this.#optimizer.update(input.name, value, gradient, lr);
    }
    this.#parameters!.refresh();
    return { loss, gradNorm };
  }

  /** Frees the native session. */
  async release(): Promise<void> {
    await this.#compiled?.value.session.release();
    this.#compiled = undefined;
  }

  async #compile(inputs: Feeds, targets: Feeds): Promise<Compiled> {
    const key = [inputs, targets]
      .map((feeds) =>
        Object.entries(feeds)
          .map(([name, { dims }]) => `${name}:${dims.join()}`)
          .join(';'),
      )
      .join('|');
    if (this.#compiled?.key === key) return this.#compiled.value;
    await this.release();
    const { base, plan, loss, runtime, session: options, name, lossWeight } = this.#request;
    const choose = this.#request.pieceRows ?? pieceRows;
    let graph = buildTrainingGraph({ base, plan, loss, inputs, targets });
    const total = rowsOf(inputs, targets);
    let rows: number | undefined;
    if (lossWeight && total !== undefined && choose(total, graph.forwardBytes) < total) {
      rows = choose(total, graph.forwardBytes);
      const [piece] = cut(inputs, targets, rows, total) as [Piece];
      graph = buildTrainingGraph({ base, plan, loss, ...piece });
    }
    const session = await runtime.createSession(
      { ...sessionModel(graph.model), name },
      // Each frozen weight is read by a forward and a backward product, and packed for both.
      { ...options, purpose: 'training', prepack: 2 * graph.weightBytes <= PREPACK_BYTES },
    );
    this.#parameters ??= this.#request.parameters(graph.inputs);
    const value = { graph, session, rows };
    this.#compiled = { key, value };
    return value;
  }
}

function addScaled(sums: Map<string, Float32Array>, name: string, values: Float32Array, factor: number): void {
  const sum = sums.get(name);
  if (!sum)
    sums.set(
      name,
      values.map((value) => factor * value),
    );
  else for (let i = 0; i < sum.length; i++) sum[i]! += factor * values[i]!;
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}
