/** @file Calls what tuners do around steps of the optimizer, with their modules' tensors. */

import { type HookedTunings, hookedTunings } from '../lora/tunings/trainingHooks.ts';
import type { AdapterPlan } from '../lora/tunings/moduleTuning.ts';
import type { ByTensor, StepTensor, TrainingStep } from '../lora/tuner.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import type { ParameterSet } from './parameters.ts';

/** Calls the hooks of a plan around steps. */
export class StepHooks {
  readonly #hooked: readonly HookedTunings[];

  constructor(plan: AdapterPlan) {
    this.#hooked = hookedTunings(plan);
  }

  /**
   * Calls one of the hooks of each tuner.
   *
   * @param gradients those of the step, by the names of inputs
   * @param optimizer what has moved the parameters, after it has
   */
  call(
    which: 'gradients' | 'after',
    step: Pick<TrainingStep, 'step' | 'lr'>,
    parameters: ParameterSet,
    gradients: ReadonlyMap<string, Float32Array>,
    optimizer?: Optimizer,
  ): void {
    const called = this.#hooked.filter(({ hooks }) => hooks[which]);
    if (called.length === 0) return;
    const byName = new Map(
      [...parameters.all, ...parameters.still].map(({ input, dims, value }) => {
        const gradient = gradients.get(input.name);
        const moments = optimizer && ((): Float32Array[] => momentsOf(optimizer, input.name, value.length));
        return [
          input.tensor.name,
          { dims, value, ...(gradient && { gradient }), ...(moments && { moments }) },
        ] as const;
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
