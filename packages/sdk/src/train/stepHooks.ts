/** @file Calls what tuners do around steps of the optimizer, with their modules' tensors. */

import { type HookedTunings, hookedTunings } from '../lora/tunings/trainingHooks.ts';
import type { AdapterPlan } from '../lora/tunings/moduleTuning.ts';
import type { ByTensor, StepTensor, TrainingStep } from '../lora/tuner.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
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
    this.#call('gradients', step, parameters, gradients, ({ input: { name } }) => ({ leave: () => left.add(name) }));
    return left;
  }

  /** Calls what tuners do after the step of this optimizer. */
  after(step: StepAt, parameters: ParameterSet, gradients: Gradients, optimizer: Optimizer): void {
    const forgotten = new Set<string>();
    this.#call('after', step, parameters, gradients, ({ input: { name }, value }) => ({
      moments: () => momentsOf(optimizer, name, value.length),
      forget: () => forgotten.add(name),
    }));
    if (forgotten.size > 0) forget(optimizer, parameters, forgotten);
  }

  #call(
    which: 'gradients' | 'after',
    step: StepAt,
    parameters: ParameterSet,
    gradients: Gradients,
    more: (parameter: Parameter) => Pick<StepTensor, 'leave' | 'moments' | 'forget'>,
  ): void {
    const called = this.#hooked.filter(({ hooks }) => hooks[which]);
    if (called.length === 0) return;
    const byName = new Map(
      [...parameters.all, ...parameters.still].map((parameter) => {
        const { input, dims, value } = parameter;
        const gradient = gradients.get(input.name);
        return [input.tensor.name, { dims, value, ...(gradient && { gradient }), ...more(parameter) }] as const;
      }),
    );
    for (const { hooks, tunings } of called)
      hooks[which]!({
        ...step,
        modules: tunings.map((tuning) => ({
          layer: tuning.layer,
          tensors: Object.fromEntries(
            tuning.tensors().map(({ role, name }) => [role, byName.get(name)!]),
          ) as ByTensor<StepTensor>,
        })),
      });
  }
}

/** What an optimizer remembers of a parameter, number by number: its own memory. */
function momentsOf(optimizer: Optimizer, name: string, size: number): Float32Array[] {
  return [...optimizer.state()].flatMap(([key, { type, data }]) =>
    key.startsWith(`${name}.`) && type === 'float32' && data.length === size ? [data as Float32Array] : [],
  );
}

/** Lets an optimizer go on with what it remembers of all parameters but these. */
function forget(optimizer: Optimizer, { all }: ParameterSet, names: ReadonlySet<string>): void {
  const left = all.filter(({ input: { name } }) => !names.has(name));
  const state = [...optimizer.state()].filter(([key]) => [...names].every((name) => !key.startsWith(`${name}.`)));
  optimizer.load(new Map(state), new Map(left.map(({ input: { name }, dims }) => [name, dims])));
}
