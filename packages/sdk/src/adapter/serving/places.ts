/** @file The places that a session's graph has for adapters, and which an adapter needs. */

import { OnnxLoraError } from '../../errors.ts';
import type { AdapterInput, AdapterPlan } from '../../lora/tunings/moduleTuning.ts';
import { joinTunings, type PlacedAdapter } from '../naming/place.ts';

/** The plan with a place for each of these adapters, and those reserved for adapters to come. */
export function planPlaces(placed: readonly PlacedAdapter[], reserved: AdapterPlan = []): AdapterPlan {
  return joinTunings([...reserved, ...placed.flatMap(({ tunings }) => tunings.map(({ tuning }) => tuning))]);
}

/**
 * Checks that a graph has all places that an adapter needs.
 *
 * @param name how errors call the adapter
 * @throws OnnxLoraError `ADAPTER_MISMATCH` with the modules that have none
 */
export function requirePlaces({ tunings }: PlacedAdapter, inputs: readonly AdapterInput[], name: string): void {
  const has = new Set(
    inputs.flatMap(({ tuning, tensor: { role } }) => [
      `${tuning.slot}:${role}`,
      ...tuning.wants.map(({ place }) => place),
    ]),
  );
  const missing = new Map<string, string | undefined>();
  for (const { tuning } of tunings) {
    // What goes without saying where the module itself has no place.
    const first = tuning.wants.find(({ place }) => !has.has(place));
    if (first) missing.set(first.label, first.option);
  }
  if (missing.size === 0) return;
  const names = [...missing.keys()];
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  const option = [...missing.values()].find((each) => each !== undefined);
  const reserve = option === undefined ? '' : `reserve places for it (such as ${option}), or `;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The session's graph has no place for what "${name}" adapts: ${names.slice(0, 3).join(', ')}${more}. Places are decided when the session is made: ${reserve}give the adapter to model.session among its adapters.`,
  );
}
