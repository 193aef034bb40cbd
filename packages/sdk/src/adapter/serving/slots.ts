/** @file Slots of a session's graph, and those that an adapter needs. */

import { OnnxLoraError } from '../../errors.ts';
import type { AdapterInput, AdapterPlan, ModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { firstNames } from '../formats/foreignJson.ts';
import type { PlacedAdapter } from '../naming/place.ts';

/** A plan with slots for these adapters and reserved ones. */
export function planSlots(placed: readonly PlacedAdapter[], reserved: AdapterPlan = []): AdapterPlan {
  return joinModules([...reserved, ...placed.flatMap(({ tunings }) => tunings.map(({ tuning }) => tuning))]);
}

/**
 * @param name the adapter's name for errors
 * @throws OnnxLoraError `ADAPTER_MISMATCH` with the modules that lack slots
 */
export function requireSlots({ tunings }: PlacedAdapter, inputs: readonly AdapterInput[], name: string): void {
  const has = slotsOf(inputs);
  const missing = new Map<string, string | undefined>();
  for (const { tuning } of tunings) {
    // Further wants follow from the first missing one.
    const first = tuning.wants.find(({ input }) => !has.has(input));
    if (first) missing.set(first.label, first.option);
  }
  if (missing.size === 0) return;
  const names = [...missing.keys()];
  const option = [...missing.values()].find((each) => each !== undefined);
  const reserve = option === undefined ? '' : `reserve places for it (such as ${option}), or `;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The session's graph has no place for what "${name}" adapts: ${firstNames(names)}. Places are decided when the session is made: ${reserve}give the adapter to model.session among its adapters.`,
  );
}

const slots = new WeakMap<readonly AdapterInput[], ReadonlySet<string>>();

/** Slots of a graph, cached for later adapters. */
function slotsOf(inputs: readonly AdapterInput[]): ReadonlySet<string> {
  const known = slots.get(inputs);
  if (known) return known;
  const has = new Set(
    inputs.flatMap(({ tuning, others, tensor: { role } }) => [
      `${tuning.slot}:${role}`,
      ...[tuning, ...others].flatMap(({ wants }) => wants.map(({ input }) => input)),
    ]),
  );
  slots.set(inputs, has);
  return has;
}

/**
 * A plan with slots for all tunings.
 * @param refusal the error for a module that they change in incompatible ways
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for such a module
 */
export function joinModules(
  tunings: readonly ModuleAdapter[],
  refusal: (path: string) => OnnxLoraError = cannotShare,
): AdapterPlan {
  const joined = new Map<string, ModuleAdapter>();
  for (const each of tunings) {
    const before = joined.get(each.slot);
    const both = before ? before.join(each) : each.join();
    if (!both) throw refusal(each.path);
    joined.set(each.slot, both);
  }
  const plan = [...joined.values()];
  const alone = plan.find((each) => each.isAlone && plan.some((other) => other !== each && other.path === each.path));
  if (alone) throw refusal(alone.path);
  return plan;
}

function cannotShare(path: string): OnnxLoraError {
  return new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The adapters change "${path}" in different ways, which one session cannot hold: tuners other than LoRA, or settings that differ. Make a session for each kind of adapter.`,
  );
}
