/** @file How each kind of tuning enters a graph. */

import type { AdapterInputs } from '../adapterInputs.ts';
import type { AdapterPlan, ModuleTuning } from '../tunings/moduleTuning.ts';
import type { Emission } from './emission.ts';
import type { GraphScope } from './graphScope.ts';
import { LowRankEmission } from './lowRankEmission.ts';
import { TunerEmission } from './tunerEmission.ts';
import { WholeEmission } from './wholeEmission.ts';

/** Makes the emission of the tunings of a kind in one graph. */
interface EmissionKind {
  new (scope: GraphScope, tunings: readonly never[]): Emission;
  /** Adds inputs that come before those which emitting asks for. */
  declare?(inputs: AdapterInputs, tuning: never): void;
}

const kinds: Readonly<Record<ModuleTuning['kind'], EmissionKind>> = {
  product: LowRankEmission,
  whole: WholeEmission,
  tuner: TunerEmission,
};

/** What the tunings of a plan make of a graph, kind by kind. */
export function emissionsOf(scope: GraphScope, plan: AdapterPlan): Emission[] {
  return [...byKind(plan)].map(
    // Of one kind each, which the table's type cannot express.
    ([kind, tunings]) => new kinds[kind](scope, tunings as never[]),
  );
}

/** Adds the inputs that come before all others, in the order of the plan. */
export function declareInputs(inputs: AdapterInputs, plan: AdapterPlan): void {
  for (const each of plan) kinds[each.kind].declare?.(inputs, each as never);
}

function byKind(plan: AdapterPlan): Map<ModuleTuning['kind'], ModuleTuning[]> {
  const found = new Map<ModuleTuning['kind'], ModuleTuning[]>();
  for (const each of plan) found.set(each.kind, [...(found.get(each.kind) ?? []), each]);
  return found;
}
