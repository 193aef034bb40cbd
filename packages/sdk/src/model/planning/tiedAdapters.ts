/** @file Adapters shared by an embedding and the layers tied to it. */

import { scalingAt } from '../../adapter/naming/moduleNames.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import type { Site } from '../../match/sites.ts';
import { tiedLayers } from '../../match/tiedWeights.ts';
import type { Model } from '../loaded/model.ts';

/** An embedding, and the layers with the same weight. */
export interface TiedEmbedding {
  readonly embedding: Site;
  readonly layers: readonly Site[];
}

/** @throws OnnxLoraError `CONFIG_INVALID` if `ensureWeightTying` finds nothing tied, or PEFT would not tie it */
export function ensuredTies(
  model: Model,
  chosen: {
    readonly targets: readonly string[];
    readonly modulesToSave: readonly string[];
    readonly tokens: readonly LowRankSite[];
  },
): TiedEmbedding[] {
  const ties = model
    .sites()
    .filter(({ kind }) => kind === 'embedding')
    .map((embedding) => ({ embedding, layers: tiedLayers(embedding, model.sites()) }))
    .filter(({ layers }) => layers.length > 0);
  const touches = (paths: readonly string[], { embedding, layers }: TiedEmbedding): boolean =>
    [embedding, ...layers].some(({ path }) => paths.includes(path));
  const adapted = ties.filter((tie) => touches(chosen.targets, tie));
  const full = ties.find((tie) => touches(chosen.modulesToSave, tie));
  const strange = adapted.find(({ embedding }) => !/(^|\.)embed_tokens$/.test(embedding.path));
  const problem =
    ties.length === 0
      ? `no layer of "${model.name}" shares its weight with an embedding. Leave it out`
      : full
        ? `"${full.embedding.path}" and its tied layer cannot be trained in full as one. Adapt them (targetModules) instead`
        : strange
          ? `PEFT ties embeddings that are called embed_tokens, and this one is "${strange.embedding.path}". Leave it out`
          : adapted.length === 0 && chosen.tokens.every(({ tiedTo }) => !tiedTo)
            ? `nothing that shares its weight is adapted. Name "${ties[0]!.embedding.path}" in targetModules, or leave it out`
            : undefined;
  if (problem === undefined) return adapted;
  throw new OnnxLoraError('CONFIG_INVALID', `ensureWeightTying: ${problem}.`);
}

/** The targets with the embeddings of ties, without the tied layers that PEFT adds itself. */
export function withEmbeddings(targets: readonly string[], ties: readonly TiedEmbedding[]): string[] {
  const layers = new Set(ties.flatMap((tie) => tie.layers.map(({ path }) => path)));
  const others = targets.filter((path) => !layers.has(path));
  return [...new Set([...ties.map(({ embedding }) => embedding.path), ...others])];
}

/** @throws OnnxLoraError `CONFIG_INVALID` if patterns give tied layers different ranks or scalings */
export function tiedAdapters(
  lowRank: readonly LowRankSite[],
  ties: readonly TiedEmbedding[],
  config: AdapterConfig,
): LowRankSite[] {
  return ties.flatMap(({ embedding, layers }) => {
    const tiedTo = lowRank.find(({ site }) => site === embedding)!;
    return layers.map((site): LowRankSite => {
      const [own, other] = [scalingAt(config, { site }), scalingAt(config, tiedTo)];
      if (own.r === other.r && own.scaling === other.scaling) return { ...tiedTo, site, tiedTo };
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `ensureWeightTying: "${site.path}" and "${embedding.path}" share one adapter, but rankPattern or alphaPattern tell them apart. Give both the same.`,
      );
    });
  });
}
