/** @file Parameters adapted by name (PEFT's `target_parameters`), such as stacked weights of experts. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Site } from '../../match/sites.ts';
import { isAttention } from './chosenModules.ts';
import type { Model } from '../loaded/model.ts';

/** An adaptable parameter with its full name, as in PEFT's config. */
export interface TargetParameter {
  /** torch's name, such as `experts.up` or `head.weight`. */
  readonly name: string;
  readonly site: Site;
}

/**
 * Matches entries as PEFT does: by a parameter's full name, or its end after a dot.
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for weights of other
 *   layers than linear ones
 */
export function targetParameters(model: Model, entries: readonly string[]): TargetParameter[] {
  if (entries.length === 0) return [];
  const candidates = model.sites().flatMap((site): TargetParameter[] => {
    if (isAttention(site, model.sitesByPath())) return [];
    return [{ name: site.kind === 'parameter' ? site.path : `${site.path}.weight`, site }];
  });
  const chosen = entries.flatMap((entry) => {
    const matching = candidates.filter(({ name }) => name === entry || name.endsWith(`.${entry}`));
    if (matching.length === 0) throw notFound(entry, candidates, model.name);
    for (const each of matching) checkKind(each);
    return matching;
  });
  return candidates.filter((each) => chosen.includes(each));
}

function checkKind({ name, site }: TargetParameter): void {
  if (site.kind === 'linear' || site.kind === 'parameter') return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${name}" (targetParameters) is the weight of ${site.kind === 'embedding' ? 'an' : 'a'} ${site.kind}. Name its module in targetModules: "${site.path}".`,
  );
}

function notFound(entry: string, candidates: readonly TargetParameter[], model: string): OnnxLoraError {
  const parts = entry.split('.').length;
  const ends = candidates.flatMap(({ name }) => [name, name.split('.').slice(-parts).join('.')]);
  const bare = candidates.filter(({ site }) => site.kind === 'parameter').map(({ name }) => `"${name}"`);
  const list = bare.length > 0 ? ` Bare parameters: ${bare.slice(0, 8).join(', ')}.` : ' The model has no bare parameters that can be adapted; weights of linear layers are named like "head.weight".'; // prettier-ignore
  return new OnnxLoraError(
    'TARGET_NOT_FOUND',
    `No parameter in "${model}" matches "${entry}" (targetParameters).${didYouMean(entry, ends)}${list}`,
  );
}
