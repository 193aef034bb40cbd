/** @file Ranks that layers can have: those of grouped convolutions, and the limit of every layer. */

import { exactly } from '../../adapter/storage/convertResidual.ts';
import { scalingAt } from '../../adapter/naming/moduleNames.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import { OnnxLoraError } from '../../errors.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { Site } from '../../match/sites.ts';

/** A layer that is to be adapted, and its name in PEFT's files where that is another. */
interface Target {
  readonly path: string;
  readonly savedAs?: string;
}

/** The fields that say rank and scaling of each layer, and what else a kind of layer may refuse. */
type Ranks = Pick<
  AdapterConfig,
  'r' | 'loraAlpha' | 'rankPattern' | 'alphaPattern' | 'useRslora' | 'useDora' | 'loraBias'
>;

/** What can be adapted of what was chosen. */
export interface Fitted {
  readonly adapted: readonly Target[];
  readonly rankPattern: AdapterConfig['rankPattern'];
  readonly alphaPattern: AdapterConfig['alphaPattern'];
  /** What differs from what was asked, and how to have it. */
  readonly warnings: readonly string[];
}

/**
 * Gives grouped convolutions a rank that their groups divide, with the scaling that was asked, where that is less than twice
 * the rank. Those with more groups, such as depthwise ones, would need a rank as large as the layer: a pattern or function
 * that reaches them means others, and they are left out; by its full path such a layer is taken at its word.
 *
 * @param named full paths that were written out
 * @throws OnnxLoraError `CONFIG_INVALID` where nothing is left
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
    ...(fitted.length > 0 ? [`Of grouped convolutions the rank must be a multiple of the groups, so it is for ${few(fitted)}.`] : []),
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
  const which = few(sites.map(({ path }) => `"${path}"`));
  if (useDora)
    return `Left out: ${which}, ${sites.length === 1 ? 'a convolution' : 'convolutions'} in ${count} groups, for which there is no DoRA. Without useDora (--dora) they can be adapted.`;
  const [{ path }] = sites as [Site];
  return `Left out: ${which}, ${sites.length === 1 ? 'a convolution' : 'convolutions'} in ${count} groups, of which a rank must be a multiple; r is ${r}. To adapt one all the same, give it a rank: rankPattern (--rank-pattern) ${path}=${groups[0]}.`;
}

function few(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Any layer may have this rank, however small it is: adapters take one for all of a model's layers. */
const ALWAYS = 1024;

/**
 * Checks that a rank is one that a layer can make use of, before anything of its size is made: a product of a higher rank
 * than the layer's smaller dimension can express no more.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` naming the layer and its size
 */
export function requireRank(site: Site, r: number): void {
  if (!Number.isInteger(r) || r < 1) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The rank of "${site.path}" must be a whole number of at least 1, but it is ${r}.`,
    );
  }
  const { out, width } = kindOf(site).matrix(site);
  const largest = Math.max(ALWAYS, Math.min(out, width));
  if (r <= largest) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The rank ${r} is beyond what "${site.path}" (${site.kind}, ${site.weightShape.join('×')}) can make use of: its weight is a matrix of ${out} × ${width}. Give a rank (r, rankPattern) of at most ${largest}; adapters mostly have 4 to 64.`,
  );
}
