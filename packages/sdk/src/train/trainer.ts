/** @file The trainer: gradients of a batch, then an optimizer step. */

import { OnnxLoraError } from '../errors.ts';
import { StepHooks } from './stepHooks.ts';
import type { ProviderReport } from '../runtime/session.ts';
import type { Feeds } from '../runtime/tensor.ts';
import { normOf } from './slices.ts';
import type { Transformation } from './transformation.ts';
import { ComparingStep } from './step/comparingStep.ts';
import { GradientStep } from './step/gradientStep.ts';
import { comparisonOf } from './graph/comparingLoss.ts';
import type { CompiledStep, GradientStepRequest, MemoryPlan } from './step/stepRequest.ts';
import { freezeAsOptimizerAsks, optimizedModules } from './optimizedModules.ts';
import { applyGroups, type ParameterGroup, type ParameterRule } from './groups.ts';
import type { LossAndGradients } from './step/gradientMean.ts';
import { LossScale, type LossScalingOptions } from './step/lossScale.ts';
import { createOptimizer, type OptimizerName, type OptimizerOptions } from './optimizers/named.ts';
import { OptimizerMemory } from './optimizers/memory.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import type { ParameterSet } from './parameters.ts';
import type { PrefixReport } from './prefix/split.ts';
import { readTrainerState, type TrainerState, writeTrainerState } from './trainerState.ts';
import { runInSlices } from '../graph/eventLoop.ts';

/** Result of a step. */
export interface StepResult {
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  /** Euclidean norm of all gradients together, before clipping. */
  readonly gradNorm: number;
  /** Whether gradients overflowed float16, so that the step was skipped and the loss scale lowered. */
  readonly overflowed: boolean;
}

/** Request of a trainer. */
export interface TrainerRequest extends Omit<GradientStepRequest, 'lossScale'> {
  /** A name, settings, or an optimizer; AdamW by default. */
  readonly optimizer?: OptimizerName | OptimizerOptions | Optimizer;
  /** Parameters with their own learning rate or weight decay. Later groups override earlier ones. */
  readonly groups?: readonly ParameterGroup[];
  /** Transformations around the optimizer's step, in order; none by default. */
  readonly transformations?: readonly Transformation[];
  /** Whether to scale the loss of float16 graphs, so that small gradients do not underflow; true by default. */
  readonly lossScaling?: boolean | LossScalingOptions;
}

/**
 * Trains one adapter batch by batch.
 *
 * A step has two halves: {@link Trainer.lossAndGradients} has no side effects, {@link Trainer.apply} updates the
 * parameters. Gradients may be changed in between: accumulated over batches, or averaged over machines ({@link
 * GradientMean}), which stay identical if they start alike and apply the same means.
 */
export class Trainer {
  readonly #gradients: GradientStep | ComparingStep;
  readonly #optimizer: Optimizer;
  readonly #hooks: StepHooks;
  readonly #seed: number;
  readonly #groups: readonly ParameterGroup[];
  readonly #memory: OptimizerMemory;
  readonly #transformations: readonly Transformation[];
  readonly #lossScale: LossScale | undefined;
  #rules: ReadonlyMap<string, ParameterRule> | undefined;
  /** Shapes in torch, by input name. */
  #torchDims: ReadonlyMap<string, readonly number[]> = new Map();
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings out of range */
  constructor(request: TrainerRequest) {
    const { optimizer = 'adamw', groups = [], transformations = [], lossScaling = true } = request;
    this.#lossScale = lossScaling ? new LossScale(lossScaling === true ? {} : lossScaling) : undefined;
    this.#optimizer = isOptimizer(optimizer) ? optimizer : createOptimizer(optimizer);
    this.#memory = new OptimizerMemory(this.#optimizer);
    const plan = freezeAsOptimizerAsks(request.plan, this.#optimizer);
    // Pieces would not mix rows as the batch does.
    const mixes = plan.some(({ mixesRows }) => mixesRows);
    const whole = mixes ? { pieceRows: (rows: number) => rows } : {};
    const asked = { ...request, ...whole, plan, lossScale: this.#lossScale !== undefined };
    const comparison = mixes ? undefined : comparisonOf(request.loss);
    this.#gradients = comparison ? new ComparingStep(asked, comparison) : new GradientStep(asked);
    this.#hooks = new StepHooks(plan);
    this.#seed = request.seed ?? 0;
    this.#groups = groups;
    this.#transformations = transformations;
    const averaging = transformations.find(({ averaged }) => averaged);
    if (averaging && this.#optimizer.evaluated) throw averagesItself(this.#optimizer.name, averaging.name);
  }

  /** The current parameters, updated in place; undefined before {@link Trainer.compile}. */
  get parameters(): ParameterSet | undefined {
    return this.#gradients.parameters;
  }

  /** A copy of the values to evaluate and save instead of the parameters, such as a moving average; or undefined. */
  get averaged(): ParameterSet | undefined {
    const { parameters } = this;
    if (!parameters) return undefined;
    const averaging = this.#transformations.find(({ averaged }) => averaged);
    if (averaging) return averaging.averaged!(parameters);
    if (!this.#optimizer.evaluated) return undefined;
    const values = parameters.all.map(
      ({ input: { name }, value }) => [name, this.#memory.evaluated(name, value)] as const,
    );
    return parameters.withValues(new Map(values));
  }

  /** Number of steps, without skipped ones. */
  get steps(): number {
    return this.#steps;
  }

  /** Outcome of the frozen prefix; undefined if not requested or before {@link Trainer.compile}. */
  get prefix(): PrefixReport | undefined {
    return this.#gradients.prefix;
  }

  /**
   * Builds and loads the graph for this batch's shapes in advance.
   * @param examples example number of each row, if frozen prefix values are kept
   * @throws OnnxLoraError `NO_GRADIENT`, `TARGET_NOT_FOUND` for a group that matches nothing, `PLUGIN_INVALID` for
   *   inputs that the model does not take
   */
  async compile(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<CompiledStep> {
    const compiled = await this.#gradients.compile(inputs, targets, examples);
    this.#begin(compiled.parameters);
    return compiled;
  }

  /**
   * Computes loss and gradients without side effects.
   * @param examples example number of each row, for the frozen prefix
   * @param draw number of the first dropout mask, for batches that several processes share; by default the next one
   * @throws OnnxLoraError as {@link GradientStep.compile}
   */
  async lossAndGradients(
    inputs: Feeds,
    targets: Feeds,
    examples?: readonly number[],
    draw?: number,
  ): Promise<LossAndGradients> {
    const { masks } = this.#gradients;
    const { runs } = masks;
    if (draw !== undefined) masks.runs = draw;
    const found = await this.#gradients.lossAndGradients(inputs, targets, this.#lossScale?.value, examples);
    // A graph without masks counts none.
    if (masks.runs === draw) masks.runs = runs;
    return found;
  }

  /** Where each operator of a step runs, by a profiled run on this batch without side effects. */
  providerReport(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<ProviderReport> {
    return this.#gradients.providerReport(inputs, targets, examples);
  }

  /**
   * Updates the parameters with these gradients, which it may change. Yields to the event loop, so that readers may see
   * partly updated parameters meanwhile.
   * @throws OnnxLoraError `LOSS_NOT_FINITE`, before any update, for a loss or gradients that are NaN or infinite,
   *   unless a lower loss scale may help
   */
  async apply(gradients: LossAndGradients, lr: number): Promise<StepResult> {
    return runInSlices(this.#apply(gradients, lr, this.#required()));
  }

  /**
   * After an unskipped step: lets tuners try values by the loss of held-out examples.
   * @param heldOut loads them on demand
   * @throws OnnxLoraError `LOSS_NOT_FINITE` for a loss that is NaN or infinite
   */
  async review(lr: number, heldOut: () => Promise<{ readonly inputs: Feeds; readonly targets: Feeds }>): Promise<void> {
    if (!this.#hooks.reviews) return;
    const parameters = this.#required();
    const at = { step: this.#steps - 1, lr, seed: this.#seed };
    await this.#hooks.review(at, parameters, this.#memory, async () => {
      parameters.refresh();
      const { inputs, targets } = await heldOut();
      const { loss } = await this.lossAndGradients(inputs, targets);
      if (!Number.isFinite(loss)) throw notFinite(loss, NaN, lr);
      return loss;
    });
    parameters.refresh();
  }

  /**
   * One optimizer step on one batch.
   * @param examples example number of each row, if frozen prefix values are kept
   * @throws OnnxLoraError `LOSS_NOT_FINITE`, before any update, for a loss or gradients that are NaN or infinite
   */
  async step(inputs: Feeds, targets: Feeds, lr: number, examples?: readonly number[]): Promise<StepResult> {
    return this.apply(await this.lossAndGradients(inputs, targets, examples), lr);
  }

  /**
   * Everything that determines further steps except batches and learning rate: parameters, optimizer state, moving
   * average, loss scale. The tensors are copies, but no step may start before the promise is fulfilled.
   */
  async state(): Promise<TrainerState> {
    return runInSlices(writeTrainerState({ ...this.#parts(), steps: this.#steps }));
  }

  /**
   * Restores a state after {@link Trainer.compile}: further steps are bit-identical to those where it was taken.
   * @throws OnnxLoraError `FILE_INVALID` for a damaged state, or one of another adapter or settings
   */
  load(state: TrainerState): void {
    this.#steps = readTrainerState(state, this.#parts());
  }

  /** Memory needs of the latest graph; undefined before the first. */
  get memoryPlan(): MemoryPlan | undefined {
    return this.#gradients.memoryPlan;
  }

  /** Releases the native sessions and the frozen prefix's values. */
  release(): Promise<void> {
    return this.#gradients.release();
  }

  *#apply(
    { loss, gradients, nothing }: LossAndGradients,
    lr: number,
    parameters: ParameterSet,
  ): Generator<void, StepResult> {
    const gradNorm = yield* normOf(gradients.values());
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      // float16 overflows in the loss itself only if the forward pass does, and then no scale helps.
      const mayBeScale = Number.isFinite(loss) && this.#gradients.isScaled;
      if (mayBeScale && this.#lossScale?.overflow()) return { loss, gradNorm, overflowed: true };
      throw nothing === undefined ? notFinite(loss, gradNorm, lr) : new OnnxLoraError('LOSS_NOT_FINITE', nothing);
    }
    const at = { step: this.#steps, lr, seed: this.#seed };
    for (const each of this.#transformations)
      if (each.gradients) yield* each.gradients(gradients, { ...at, norm: gradNorm });
    const left = this.#hooks.before(at, parameters, gradients);
    if (this.#optimizer.gradients) yield* this.#optimizer.gradients(optimizedModules(parameters, gradients));
    for (const parameter of parameters.all) {
      const { input, value, dims } = parameter;
      const gradient = gradients.get(input.name);
      if (!gradient || left.has(input.name)) continue;
      const { lrFactor, weightDecay } = this.#rules!.get(input.name)!;
      const torchDims = this.#torchDims.get(input.name)!;
      yield* this.#memory.update(input.name, value, gradient, { lr: lr * lrFactor, weightDecay, dims, torchDims });
      parameters.share(parameter);
    }
    this.#hooks.after(at, parameters, gradients, this.#memory);
    yield* parameters.refreshInSlices();
    for (const each of this.#transformations) if (each.after) yield* each.after(parameters);
    if (this.#gradients.isScaled) this.#lossScale?.succeed();
    this.#steps++;
    return { loss, gradNorm, overflowed: false };
  }

  /** Initialises parameter-dependent state. */
  #begin(parameters: ParameterSet): void {
    if (this.#rules) return;
    this.#rules = applyGroups(parameters.all, this.#groups, this.#optimizer.weightDecay);
    this.#torchDims = new Map(parameters.all.map((each) => [each.input.name, each.input.tensor.toSaved(each).dims]));
    for (const each of this.#transformations) each.begin?.(parameters);
  }

  #required(): ParameterSet {
    const { parameters } = this;
    if (!parameters) {
      throw new OnnxLoraError('INPUT_INVALID', 'The trainer has no parameters yet: call compile with the first batch.');
    }
    this.#begin(parameters);
    return parameters;
  }

  #parts(): Parameters<typeof readTrainerState>[1] {
    return {
      parameters: this.#required(),
      memory: this.#memory,
      transformations: this.#transformations,
      lossScale: this.#lossScale,
      masks: this.#gradients.masks,
    };
  }
}

function isOptimizer(given: OptimizerName | OptimizerOptions | Optimizer): given is Optimizer {
  return typeof given === 'object' && 'update' in given;
}

function averagesItself(name: string, other: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', `The optimizer ${name} averages parameters itself, and ${other} does so too. Leave ${other} out.`); // prettier-ignore
}

function notFinite(loss: number, gradNorm: number, lr: number): OnnxLoraError {
  const what = Number.isFinite(loss) ? `gradient became ${gradNorm}` : `loss became ${loss}`;
  return new OnnxLoraError(
    'LOSS_NOT_FINITE',
    `The ${what}. Lower the learning rate (it is ${lr.toPrecision(3)}), and check the data for values that are not numbers. Nothing of this step went into the adapter.`,
  );
}
