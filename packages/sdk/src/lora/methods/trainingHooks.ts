/** @file Training hooks of a plan's tuners. */

import type { TrainingHooks } from '../tuner.ts';
import { ByTuner } from './byTuner.ts';
import type { AdapterPlan } from './moduleAdapter.ts';

/** The modules of one tuner, and its hooks. */
export interface HookedModules {
  readonly name: string;
  readonly hooks: TrainingHooks;
  readonly tunings: readonly ByTuner[];
}

/** The tuners of a plan that have hooks, each with all of its modules. */
export function hookedModules(plan: AdapterPlan): HookedModules[] {
  const byForm = new Map<string, ByTuner[]>();
  for (const each of plan)
    if (each instanceof ByTuner && each.chosen.tuner.training)
      byForm.set(each.form, [...(byForm.get(each.form) ?? []), each]);
  return [...byForm.values()].map((tunings) => {
    const { tuner, settings } = tunings[0]!.chosen;
    return { name: tuner.name, hooks: tuner.training!(settings), tunings };
  });
}
