/** @file The places that a session's graph has for adapters, and which an adapter needs. */

import { OnnxLoraError } from '../errors.ts';
import type { AdapterInput, AdapterPlan } from '../lora/plan.ts';
import { cannotShare, joinPlans } from './place.ts';
import type { PlacedAdapter } from './placed.ts';

/** The plan with a place for each of these adapters, and those reserved for adapters to come. */
export function planPlaces(placed: readonly PlacedAdapter[], reserved: AdapterPlan | undefined): AdapterPlan {
  const joined = joinPlans(placed);
  if (!reserved) return joined;
  const lowRank = new Map(reserved.lowRank.map((each) => [each.site.path, each]));
  for (const each of joined.lowRank) {
    const other = lowRank.get(each.site.path);
    lowRank.set(each.site.path, {
      ...each,
      dora: each.dora || (other?.dora ?? false),
      bias: (each.bias ?? false) || (other?.bias ?? false),
    });
  }
  const trained = new Map([...reserved.trained, ...joined.trained].map((each) => [each.name, each]));
  const tuned = joined.tuned.find(({ site }) => lowRank.has(site.path));
  if (tuned) throw cannotShare(tuned.site.path);
  return { lowRank: [...lowRank.values()], trained: [...trained.values()], tuned: joined.tuned };
}

/**
 * Checks that a graph has all places that an adapter needs.
 *
 * @param name how errors call the adapter
 * @throws OnnxLoraError `ADAPTER_MISMATCH` with the modules that have none
 */
export function requirePlaces(placed: PlacedAdapter, inputs: readonly AdapterInput[], name: string): void {
  const has = new Set(
    inputs.map(({ role, lowRank, parameter, tuned }) =>
      tuned ? `${tuned.of.site.path}:${tuned.of.form}` : `${parameter?.name ?? lowRank!.site.path}:${role}`,
    ),
  );
  const missing = new Map<string, string>();
  for (const { lowRank } of placed.lowRank) {
    const { path } = lowRank.site;
    if (!has.has(`${path}:lora_A`)) missing.set(path, `targetModules: ${JSON.stringify([path])}`);
    else if (lowRank.dora && !has.has(`${path}:lora_gain`)) missing.set(`${path} (DoRA)`, 'useDora: true');
    else if (lowRank.bias && !has.has(`${path}:lora_B.bias`)) missing.set(`${path} (lora_B.bias)`, '');
  }
  for (const { parameter } of placed.trained) {
    if (!has.has(`${parameter.name}:parameter`))
      missing.set(parameter.name, `modulesToSave: ${JSON.stringify([parameter.modulePath])}`);
  }
  for (const { tuned } of placed.tuned) {
    if (!has.has(`${tuned.site.path}:${tuned.form}`)) missing.set(tuned.site.path, '');
  }
  if (missing.size === 0) return;
  const names = [...missing.keys()];
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  const [option] = [...missing.values()].filter((each) => each !== '');
  const reserve = option === undefined ? '' : `reserve places for it (such as ${option}), or `;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The session's graph has no place for what "${name}" adapts: ${names.slice(0, 3).join(', ')}${more}. Places are decided when the session is made: ${reserve}give the adapter to model.session among its adapters.`,
  );
}
