/** @file Calls tuners' hooks around optimizer steps. */

import { type HookedModules, hookedModules } from '../lora/methods/trainingHooks.ts';
import type { AdapterPlan } from '../lora/methods/moduleAdapter.ts';
import type { ByTensor, StepTensor, TrainingHooks, TrainingStep } from '../lora/tuner.ts';
import type { OptimizerMemory } from './optimizers/memory.ts';
import type { Parameter, ParameterSet } from './parameters.ts';

type StepAt = Omit<TrainingStep, 'modules'>;
type Gradients = ReadonlyMap<string, Float32Array>;

/** Calls the hooks of a plan. */
export class StepHooks {
  readonly #hooked: readonly HookedModules[];

  constructor(plan: AdapterPlan) {
    this.#hooked = hookedModules(plan);
  }

  /** Hooks before the optimizer's step. Returns the input names of parameters to skip. */
  before(step: StepAt, parameters: ParameterSet, gradients: Gradients): ReadonlySet<string> {
    const left = new Set<string>();
    const seen = { parameters, gradients, more: ({ input: { name } }: Parameter) => ({ leave: () => left.add(name) }) };
    for (const [hooks, modules] of this.#with('gradients', seen)) hooks.gradients!({ ...step, modules });
    return left;
  }

  /** Hooks after this optimizer's step. */
  after(step: StepAt, parameters: ParameterSet, gradients: Gradients, memory: OptimizerMemory): void {
    for (const [hooks, modules] of this.#with('after', { parameters, gradients, more: remembered(memory) }))
      hooks.after!({ ...step, modules });
  }

  /** Whether hooks use held-out examples. */
  get reviews(): boolean {
    return this.#hooked.some(({ hooks }) => 'review' in hooks);
  }

  /** Hooks that may ask for the loss of held-out examples. */
  async review(
    step: StepAt,
    parameters: ParameterSet,
    memory: OptimizerMemory,
    loss: () => Promise<number>,
  ): Promise<void> {
    for (const [hooks, modules] of this.#with('review', { parameters, gradients: new Map(), more: remembered(memory) }))
      await hooks.review!({ ...step, modules }, loss);
  }

  /** The hooks of that name with their tuners' modules. */
  #with(
    which: 'gradients' | 'after' | 'review',
    { parameters, gradients, more }: SeenByHooks,
  ): [TrainingHooks, TrainingStep['modules']][] {
    const called = this.#hooked.filter(({ hooks }) => hooks[which]);
    if (called.length === 0) return [];
    const byName = new Map(
      [...parameters.all, ...parameters.buffers].map((parameter) => {
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

/** Values passed to hooks. */
interface SeenByHooks {
  readonly parameters: ParameterSet;
  readonly gradients: Gradients;
  readonly more: (parameter: Parameter) => Pick<StepTensor, 'leave' | 'moments' | 'forget'>;
}

/** Lets hooks access and reset the optimizer state of a parameter. */
function remembered(memory: OptimizerMemory): SeenByHooks['more'] {
  return ({ input: { name }, value }) => ({
    moments: () => memory.moments(name, value.length),
    forget: () => memory.forget(name),
  });
}
