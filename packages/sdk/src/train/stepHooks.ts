/** @file Calls what tuners do around steps of the optimizer, with their modules' tensors. */

import { type HookedTunings, hookedTunings } from '../lora/methods/trainingHooks.ts';
import type { AdapterPlan } from '../lora/methods/tuning.ts';
import type { ByTensor, StepTensor, TrainingHooks, TrainingStep } from '../lora/tuner.ts';
import type { OptimizerMemory } from './optimizers/memory.ts';
import type { Parameter, ParameterSet } from './parameters.ts';

type StepAt = Omit<TrainingStep, 'modules'>;
type Gradients = ReadonlyMap<string, Float32Array>;

/** Calls the hooks of a plan around steps. */
export class StepHooks {
  readonly #hooked: readonly HookedTunings[];

  constructor(plan: AdapterPlan) {
    this.#hooked = hookedTunings(plan);
  }

  /**
   * Calls what tuners do before the optimizer's step.
   *
   * @param gradients those of the step, by the names of inputs
   * @returns the names of inputs that the step is to leave
   */
  before(step: StepAt, parameters: ParameterSet, gradients: Gradients): ReadonlySet<string> {
    const left = new Set<string>();
    const seen = { parameters, gradients, more: ({ input: { name } }: Parameter) => ({ leave: () => left.add(name) }) };
    for (const [hooks, modules] of this.#with('gradients', seen)) hooks.gradients!({ ...step, modules });
    return left;
  }

  /** Calls what tuners do after the step of this optimizer. */
  after(step: StepAt, parameters: ParameterSet, gradients: Gradients, memory: OptimizerMemory): void {
    for (const [hooks, modules] of this.#with('after', { parameters, gradients, more: remembered(memory) }))
      hooks.after!({ ...step, modules });
  }

  /** Whether tuners look at held-out examples. */
  get reviews(): boolean {
    return this.#hooked.some(({ hooks }) => 'review' in hooks);
  }

  /** Calls what tuners do with held-out examples, whose loss they may ask for. */
  async review(
    step: StepAt,
    parameters: ParameterSet,
    memory: OptimizerMemory,
    loss: () => Promise<number>,
  ): Promise<void> {
    for (const [hooks, modules] of this.#with('review', { parameters, gradients: new Map(), more: remembered(memory) }))
      await hooks.review!({ ...step, modules }, loss);
  }

  /** The hooks of that name with the modules of their tuners. */
  #with(
    which: 'gradients' | 'after' | 'review',
    { parameters, gradients, more }: SeenByHooks,
  ): [TrainingHooks, TrainingStep['modules']][] {
    const called = this.#hooked.filter(({ hooks }) => hooks[which]);
    if (called.length === 0) return [];
    const byName = new Map(
      [...parameters.all, ...parameters.still].map((parameter) => {
        const { input, dims, value } = parameter;
        const gradient = gradients.get(input.name);
        return [input.tensor.name, { dims, value, ...(gradient && { gradient }), ...more(parameter) }] as const;
      }),
    );
    return called.map(({ hooks, tunings }) => [
      hooks,
      tunings.map((tuning) => ({
        layer: tuning.layer,
        tensors: Object.fromEntries(
          tuning.tensors().map(({ role, name }) => [role, byName.get(name)!]),
        ) as ByTensor<StepTensor>,
      })),
    ]);
  }
}

/** What hooks are shown. */
interface SeenByHooks {
  readonly parameters: ParameterSet;
  readonly gradients: Gradients;
  readonly more: (parameter: Parameter) => Pick<StepTensor, 'leave' | 'moments' | 'forget'>;
}

/** Lets hooks look at what an optimizer remembers of a parameter, and have it forgotten. */
function remembered(memory: OptimizerMemory): SeenByHooks['more'] {
  return ({ input: { name }, value }) => ({
    moments: () => memory.moments(name, value.length),
    forget: () => memory.forget(name),
  });
}
