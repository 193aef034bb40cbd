/** @file Valid ranks: multiples of a convolution's groups, and the limit of every layer. */

import { exactly } from '../../adapter/storage/convertResidual.ts';
import { scalingAt } from '../../adapter/naming/moduleNames.ts';
import { firstNames } from '../../adapter/formats/foreignJson.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import { whole } from '../../checks.ts';
import { OnnxLoraError } from '../../errors.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { Site } from '../../match/sites.ts';

/** A layer to adapt, with its name in PEFT's files if different. */
interface Target {
  readonly path: string;
  readonly savedAs?: string;
}

/** Fields that determine ranks and scaling, and a kind's refusals. */
type Ranks = Pick<
  AdapterConfig,
  'r' | 'loraAlpha' | 'rankPattern' | 'alphaPattern' | 'useRslora' | 'useDora' | 'loraBias'
>;

/** The adaptable targets, with adjusted ranks. */
export interface Fitted {
  readonly adapted: readonly Target[];
  readonly rankPattern: AdapterConfig['rankPattern'];
  readonly alphaPattern: AdapterConfig['alphaPattern'];
  readonly warnings: readonly string[];
}

/**
 * Rounds the rank of grouped convolutions up to a multiple of their groups, if below twice the rank, and keeps the
 * scaling. Convolutions with more groups, such as depthwise ones, are left out unless named by full path: a pattern
 * that matches them means others.
 * @param named full paths that the user wrote out
 * @throws OnnxLoraError `CONFIG_INVALID` if nothing is left
 */
export function fittingRanks(
  adapted: readonly Target[],
  sites: ReadonlyMap<string, Site>,
  ranks: Ranks,
  named: ReadonlySet<string>,
): Fitted {
  const { useDora: dora, loraBias: bias, useRslora } = ranks;
  const [rankPattern, alphaPattern] = [{ ...ranks.rankPattern }, { ...ranks.alphaPattern }];
  const fitted: string[] = [];
  const leftOut: Site[] = [];
  const kept = adapted.filter(({ path, savedAs }) => {
    const site = sites.get(path)!;
    const kind = kindOf(site);
    const { groups } = kind.matrix(site);
    const { r, alpha } = scalingAt(ranks, { site, ...(savedAs === undefined ? {} : { savedAs }) });
    const isAsked = scalingOf({ ...ranks, r: 0 }, path).r !== 0;
    if (groups === 1 || isAsked || kind.refuses(site, { r, dora, bias }) === undefined) return true;
    const next = Math.ceil(r / groups) * groups;
    const fits = next < 2 * r && kind.refuses(site, { r: next, dora, bias }) === undefined;
    if (!fits) {
      if (!named.has(path)) leftOut.push(site);
      return named.has(path);
    }
    rankPattern[exactly(path)] = next;
    alphaPattern[exactly(path)] = alpha * (useRslora ? Math.sqrt(next / r) : next / r);
    fitted.push(`"${path}" ${next}`);
    return true;
  });
  const warnings = [
    ...(fitted.length > 0 ? [`The rank of a grouped convolution must be a multiple of its groups, so it is for ${firstNames(fitted)}.`] : []),
    ...(leftOut.length > 0 ? [leftOutText(leftOut, ranks)] : []),
  ]; // prettier-ignore
  if (kept.length === 0 && leftOut.length > 0)
    throw new OnnxLoraError('CONFIG_INVALID', `Nothing is left to adapt. ${warnings.at(-1)!}`);
  return { adapted: kept, rankPattern, alphaPattern, warnings };
}

function leftOutText(sites: readonly Site[], { r, useDora }: Ranks): string {
  const groups = sites.map((site) => kindOf(site).matrix(site).groups);
  const [least, most] = [Math.min(...groups), Math.max(...groups)];
  const count = least === most ? String(least) : `${least} to ${most}`;
  const which = firstNames(sites.map(({ path }) => `"${path}"`));
  if (useDora)
    return `Left out: ${which}, ${sites.length === 1 ? 'a convolution' : 'convolutions'} in ${count} groups, for which there is no DoRA. Without useDora (--dora) they can be adapted.`;
  const [{ path }] = sites as [Site];
  return `Left out: ${which}, ${sites.length === 1 ? 'a convolution' : 'convolutions'} in ${count} groups, and a rank must be a multiple of its groups; r is ${r}. To adapt one all the same, give it a rank: rankPattern (--rank-pattern) ${path}=${groups[0]}.`;
}

/** Allowed for any layer: adapters have one rank for all layers. */
const ALWAYS = 1024;

/** @throws OnnxLoraError `CONFIG_INVALID` for a rank beyond the layer's smaller dimension, where it adds nothing */
export function requireRank(site: Site, r: number): void {
  whole(`The rank of "${site.path}"`, r, 1, Infinity);
  const { out, width } = kindOf(site).matrix(site);
  const largest = Math.max(ALWAYS, Math.min(out, width));
  if (r <= largest) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The rank ${r} is beyond what "${site.path}" (${site.kind}, ${site.weightShape.join('×')}) can make use of: its weight is a matrix of ${out} × ${width}. Give a rank (r, rankPattern) of at most ${largest}; adapters mostly have 4 to 64.`,
  );
}
