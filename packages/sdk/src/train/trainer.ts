/** @file The training step: gradients of a batch, then the optimizer moves the parameters. */

import { OnnxLoraError } from '../errors.ts';
import { StepHooks } from './stepHooks.ts';
import type { ProviderReport, Session } from '../runtime/session.ts';
import type { Feeds } from '../runtime/tensor.ts';
import { normOf } from './clip.ts';
import { ComparingStep } from './step/comparingStep.ts';
import { GradientStep } from './step/gradientStep.ts';
import { comparisonOf } from './graph/comparingLoss.ts';
import type { GradientStepRequest, MemoryPlan } from './step/stepRequest.ts';
import { leavingOut, optimizedModules } from './optimizedModules.ts';
import { applyGroups, type ParameterGroup, type ParameterRule } from './groups.ts';
import type { LossAndGradients } from './step/gradientMean.ts';
import { LossScale, type LossScalingOptions } from './step/lossScale.ts';
import { createOptimizer, type OptimizerName, type OptimizerOptions } from './optimizers/named.ts';
import { OptimizerMemory } from './optimizers/memory.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import type { ParameterSet } from './parameters.ts';
import type { PrefixReport } from './prefix/prefixOptions.ts';
import { readTrainerState, type TrainerState, writeTrainerState } from './trainerState.ts';
import type { Transformation } from './transformation.ts';
import { inTurns } from '../graph/turns.ts';

/** What a step computes on the way. */
export interface StepResult {
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  /** Euclidean norm of all gradients together, before they are clipped. */
  readonly gradNorm: number;
  /** Whether gradients overflowed float16, so that nothing moved; the loss scale is lower from now on. */
  readonly overflowed: boolean;
}

/** What a trainer is made of. */
export interface TrainerRequest extends Omit<GradientStepRequest, 'lossScale'> {
  /** By name, with settings, or one of your own; AdamW by default. */
  readonly optimizer?: OptimizerName | OptimizerOptions | Optimizer;
  /** Parameters that learn at another rate or decay otherwise. Later groups override earlier ones. */
  readonly groups?: readonly ParameterGroup[];
  /** What stands around the optimizer's step, in this order; nothing by default. */
  readonly transformations?: readonly Transformation[];
  /**
   * Scale the loss where the graph computes in float16, so that small gradients do not become 0; true by default. It makes
   * no difference to graphs in float32.
   */
  readonly lossScaling?: boolean | LossScalingOptions;
}

/**
 * Trains one adapter batch by batch.
 *
 * A step has two halves: {@link Trainer.lossAndGradients} computes and changes nothing, {@link Trainer.apply} moves the
 * parameters. In between anything may change the gradients: accumulate several batches, or average what several machines
 * computed ({@link GradientMean}). Machines that start from the same parameters and apply the same means stay the same.
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
  /** Shapes as torch has them, by the names of inputs. */
  #torchDims: ReadonlyMap<string, readonly number[]> = new Map();
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings out of their range */
  constructor(request: TrainerRequest) {
    const { optimizer = 'adamw', groups = [], transformations = [], lossScaling = true } = request;
    this.#lossScale = lossScaling ? new LossScale(lossScaling === true ? {} : lossScaling) : undefined;
    this.#optimizer = isOptimizer(optimizer) ? optimizer : createOptimizer(optimizer);
    this.#memory = new OptimizerMemory(this.#optimizer);
    const plan = leavingOut(request.plan, this.#optimizer);
    // Pieces of a batch would not be mixed as the batch is.
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

  /** The parameters as they are now; undefined before {@link Trainer.compile}. They move in place. */
  get parameters(): ParameterSet | undefined {
    return this.#gradients.parameters;
  }

  /**
   * A copy of what is to be evaluated and saved in place of the parameters: their moving average, or what the optimizer says;
   * undefined where these themselves are, and before {@link Trainer.compile}.
   */
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

  /** Steps that moved something. */
  get steps(): number {
    return this.#steps;
  }

  /** What became of the frozen prefix; undefined before {@link Trainer.compile}, and where it was not asked for. */
  get prefix(): PrefixReport | undefined {
    return this.#gradients.prefix;
  }

  /**
   * Builds and loads the graph for batches of this shape, which the first step would otherwise do.
   *
   * @param examples number of the example in each row, where values of the frozen prefix shall be kept
   * @throws OnnxLoraError `NO_GRADIENT`, `TARGET_NOT_FOUND` for a group that matches nothing, `PLUGIN_INVALID` for inputs that
   *   the model does not take
   */
  async compile(
    inputs: Feeds,
    targets: Feeds,
    examples?: readonly number[],
  ): Promise<{ readonly provider: Session['provider']; readonly parameters: ParameterSet }> {
    const compiled = await this.#gradients.compile(inputs, targets, examples);
    this.#begin(compiled.parameters);
    return compiled;
  }

  /**
   * Computes loss and gradients without changing anything.
   *
   * @param examples number of the example in each row, where values of the frozen prefix shall be kept
   * @throws OnnxLoraError as {@link GradientStep.compile}
   */
  async lossAndGradients(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<LossAndGradients> {
    return this.#gradients.lossAndGradients(inputs, targets, this.#lossScale?.value, examples);
  }

  /** Where each operator of a step runs: a profiled run of its own on this batch, which changes nothing. */
  providerReport(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<ProviderReport> {
    return this.#gradients.providerReport(inputs, targets, examples);
  }

  /**
   * Moves the parameters against these gradients, which may be changed in place. It takes turns with the event loop; what
   * reads the parameters meanwhile sees some moved and some not.
   *
   * @throws OnnxLoraError `LOSS_NOT_FINITE` before anything has moved, when loss or gradients are NaN or infinite, but for
   *   gradients that a lower loss scale may bring back
   */
  async apply(gradients: LossAndGradients, lr: number): Promise<StepResult> {
    return inTurns(this.#apply(gradients, lr, this.#required()));
  }

  /**
   * After a step that has moved something: lets tuners try values by the loss of held-out examples, and keep some.
   *
   * @param heldOut gives them, once it is asked for
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
   *
   * @param examples number of the example in each row, where values of the frozen prefix shall be kept
   * @throws OnnxLoraError `LOSS_NOT_FINITE` before anything has moved, when loss or gradients are NaN or infinite
   */
  async step(inputs: Feeds, targets: Feeds, lr: number, examples?: readonly number[]): Promise<StepResult> {
    return this.apply(await this.lossAndGradients(inputs, targets, examples), lr);
  }

  /**
   * Everything that steps depend on but the batches and the learning rate: parameters, what the optimizer remembers, the
   * moving average, the loss scale. The tensors are copies, so a step may follow while they are written; it must not before
   * the promise is fulfilled.
   */
  async state(): Promise<TrainerState> {
    return inTurns(writeTrainerState({ ...this.#parts(), steps: this.#steps }));
  }

  /**
   * Goes on from a state: the following steps give the bits that they would have given where it was taken. To be called
   * after {@link Trainer.compile}.
   *
   * @throws OnnxLoraError `FILE_INVALID` where the state is damaged, or belongs to another adapter or other settings
   */
  load(state: TrainerState): void {
    this.#steps = readTrainerState(state, this.#parts());
  }

  /** What the graph built last needs; undefined before the first. */
  get memoryPlan(): MemoryPlan | undefined {
    return this.#gradients.memoryPlan;
  }

  /** Frees the native sessions, and what was kept of the frozen prefix. */
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
      // float16 overflows in the loss itself when the forward pass does, and then no scale helps.
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

  /** What depends on the parameters, once they are known. */
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
