/** @file What tuners do in training beside gradients: each tuner's hooks, and its modules as they see them. */

import type { ParameterSet } from '../../train/parameters.ts';
import type { ByTensor, StepTensor, TrainingHooks, TrainingStep } from '../tuner.ts';
import { ByTuner } from './byTuner.ts';
import type { AdapterPlan } from './moduleTuning.ts';

/** The modules of one tuner, and its hooks. */
export interface HookedTunings {
  /** What the tuner is called. */
  readonly name: string;
  readonly hooks: TrainingHooks;
  readonly tunings: readonly ByTuner[];
}

/** The tuners of a plan that have hooks; each has all of its modules together. */
export function hookedTunings(plan: AdapterPlan): HookedTunings[] {
  const byForm = new Map<string, ByTuner[]>();
  for (const each of plan)
    if (each instanceof ByTuner && each.chosen.tuner.training)
      byForm.set(each.form, [...(byForm.get(each.form) ?? []), each]);
  return [...byForm.values()].map((tunings) => {
    const { tuner, settings } = tunings[0]!.chosen;
    return { name: tuner.name, hooks: tuner.training!(settings), tunings };
  });
}

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
   */
  call(
    which: 'gradients' | 'after',
    step: Pick<TrainingStep, 'step' | 'lr'>,
    parameters: ParameterSet,
    gradients: ReadonlyMap<string, Float32Array>,
  ): void {
    const called = this.#hooked.filter(({ hooks }) => hooks[which]);
    if (called.length === 0) return;
    const byName = new Map(
      [...parameters.all, ...parameters.still].map(({ input, dims, value }) => {
        const gradient = gradients.get(input.name);
        return [input.tensor.name, { dims, value, ...(gradient ? { gradient } : {}) }] as const;
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
