/** @file The layers that an initialiser supports, and its input for them. */

import { scalingAt } from '../../adapter/naming/moduleNames.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { Initializer, InitSite } from '../../lora/init/initializer.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';

/** A site as an initialiser sees it. */
export function initSite(lowRank: LowRankSite, config: AdapterConfig): InitSite {
  const { site, r } = lowRank;
  const { out, width, groups: count } = kindOf(site).matrix(site);
  const { scaling } = scalingAt(config, lowRank);
  return { path: site.path, kind: site.kind, out, width, groups: count, r: r!, scaling };
}

/** @throws OnnxLoraError `CONFIG_INVALID` with site and reason, for a site that the initialiser cannot start */
export function requireInitializable(
  initializer: Initializer,
  lowRank: readonly LowRankSite[],
  config: AdapterConfig,
  nodes: ReadonlySet<NodeProto>,
): void {
  for (const each of lowRank) {
    const refusal = initialisationRefused(initializer, each, config, nodes);
    if (refusal === undefined) continue;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${each.site.path}" cannot start with "${initializer.name}": the layer ${refusal}. Leave it out (excludeModules), change the rank, or take another initialisation.`,
    );
  }
}

function initialisationRefused(
  initializer: Initializer,
  lowRank: LowRankSite,
  config: AdapterConfig,
  nodes: ReadonlySet<NodeProto>,
): string | undefined {
  const { site } = lowRank;
  if (site.kind === 'parameter') return 'is a bare parameter, for which only the default is defined';
  if (site.kind.startsWith('convTranspose') && initializer.needs !== 'nothing')
    return 'is a transposed convolution, which random numbers alone can start';
  if (initializer.needs === 'inputs') {
    if (site.kind !== 'linear') return `is a ${site.kind}, and inputs of linear layers alone can be observed`;
    if (!nodes.has(site.node)) return 'is inside a branch of the graph, where its inputs cannot be observed';
  }
  if (initializer.needs === 'gradient' && site.part)
    return `is one with others in "${site.part.of}", and there is a gradient of that one's weight alone`;
  // DequantizeLinear returns floats; other nodes read the integers themselves.
  const { stored } = site.weight;
  if (initializer.needs === 'gradient' && stored.chain.length === 0 && !stored.storage.includes('float'))
    return `reads its weight as ${stored.storage}, which cannot have a gradient`;
  return initializer.refuses?.(initSite(lowRank, config));
}
