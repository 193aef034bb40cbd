/** @file Plans an adapter for a model. */

import { OnnxLoraError } from '../../errors.ts';
import { namesWarning } from '../../adapter/naming/generations.ts';
import { DROPOUT_PATTERN, dropoutAt, dropoutPatterns, SiteNames, scalingAt } from '../../adapter/naming/moduleNames.ts';
import { type AdapterConfig, adapterConfig } from '../../adapter/formats/peftConfig.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import { initializerOf } from '../../lora/init/named.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { DropoutPattern, LowRankSite } from '../../lora/methods/loraSite.ts';
import { LowRank } from '../../lora/methods/lora.ts';
import { TokenRows } from '../../lora/methods/tokens.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import { withoutUndefined } from '../../plugin/withoutUndefined.ts';
import { withParts } from '../../match/attention/fusedQkv.ts';
import type { Site } from '../../match/sites.ts';
import { targetNames, withAttentions } from './chosenModules.ts';
import { fittingRanks, requireRank } from './fittingRanks.ts';
import { requireInitializable } from './initialSite.ts';
import type { Model } from '../loaded/model.ts';
import { DEFAULT_RANK, type LoraOptions, type PlannedAdapter } from './loraOptions.ts';
import { oneOf, whole } from '../../checks.ts';
import { planByTuner } from './planByTuner.ts';
import { selectNamed } from '../graph/selectNamed.ts';
import { targetParameters } from './targetParameters.ts';
import { trainedParameters } from './trainedParameters.ts';
import { ensuredTies, tiedAdapters, withEmbeddings } from './tiedAdapters.ts';
import { trainedTokens } from './trainedTokens.ts';

// prettier-ignore
const requireKnown = knownOptions<LoraOptions>('lora', {
  r: true, loraAlpha: true, targetModules: true, excludeModules: true, modulesToSave: true, targetParameters: true,
  trainableTokenIndices: true, bias: true, loraBias: true, ensureWeightTying: true, useRslora: true, loraDropout: true,
  loraDropoutPattern: true, useDora: true, rankPattern: true, alphaPattern: true, layersToTransform: true,
  layersPattern: true, initLoraWeights: true, original: true, tuner: true,
});

/**
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing; `CONFIG_INVALID` for invalid or unknown
 *   options
 */
export function planAdapter(model: Model, options: LoraOptions = {}): PlannedAdapter {
  requireKnown(options);
  const planned = options.tuner === undefined ? planLora(model, options) : planByTuner(model, options, options.tuner);
  const { targetModules: targets } = planned.config;
  const names = namesWarning(typeof targets === 'string' ? [] : (targets ?? []), model);
  return names === undefined ? planned : { ...planned, warnings: [...planned.warnings, names] };
}

function planLora(model: Model, options: LoraOptions): PlannedAdapter {
  const r = whole('The rank r', options.r ?? DEFAULT_RANK, 1, Infinity);
  const brought = new Map(model.registry.initializers.map((each) => [each.name, () => each.create()]));
  const initializer = initializerOf(
    options.initLoraWeights,
    options.original && withParts(options.original.sites()),
    brought,
  );
  const scale = { r, loraAlpha: options.loraAlpha ?? 2 * r };
  const chosen = choose(model, options, scale);
  const { parameters, tokens, ties, modulesToSave, fields, namedAs } = chosen;
  const sites = model.sitesByPath();
  const variant = {
    useRslora: options.useRslora ?? false,
    useDora: options.useDora ?? false,
    loraBias: options.loraBias ?? false,
  };
  const loraDropout = dropoutOf(options);
  const pattern = patternOf(options);
  const written = Array.isArray(options.targetModules) ? (options.targetModules as readonly string[]) : [];
  const { adapted, rankPattern, alphaPattern, warnings } = fittingRanks(
    chosen.adapted,
    sites,
    { ...scale, ...fields, ...variant },
    new Set(written),
  );
  const config = adapterConfig({
    ...scale,
    // Full paths leave nothing for PEFT to interpret on loading.
    targetModules: adapted.flatMap(({ path, savedAs }) => (savedAs === undefined ? [path] : [])),
    ...fields,
    rankPattern,
    alphaPattern,
    ...variant,
    loraDropout,
    bias: options.bias ?? 'none',
    targetParameters: parameters.length > 0 ? parameters.map(({ name }) => name) : null,
    trainableTokenIndices: idsByPath(tokens),
    baseModelNameOrPath: model.name,
    extra: {
      ...(options.ensureWeightTying ? { ensure_weight_tying: true } : {}),
      ...(pattern === 'element' ? {} : { [DROPOUT_PATTERN]: pattern }),
    },
  });
  checkTogether(config, { ...chosen, adapted }, initializer);
  const part = adapted.map(({ path }) => sites.get(path)!).find((site) => site.part);
  if (part && config.bias === 'lora_only') throw biasOfPart(part);
  const names = new SiteNames(model.sites(), config);
  const own = [
    ...adapted.map(({ path, savedAs }) => lowRankSite(sites.get(path)!, savedAs, config)),
    ...parameters.map(({ site }) => lowRankSite(site, names.nameOf(site), config)),
  ];
  if (options.original) requireQuantised(own, model, options.original);
  if (initializer) requireInitializable(initializer, own, config, new Set(model.onnx.model.graph.node));
  const lowRank = [...own, ...tiedAdapters(own, ties, config)];
  const trained = trainedParameters(model, { lowRank: [...lowRank, ...tokens], modulesToSave, bias: config.bias });
  if (lowRank.length + tokens.length + trained.length === 0)
    throw new OnnxLoraError('CONFIG_INVALID', 'targetModules is empty, and so is all else: nothing would be trained. Name modules.'); // prettier-ignore
  return {
    config: own.length > 0 ? config : { ...config, targetModules: NO_MODULES },
    ...withoutUndefined({ namedAs, initializer }),
    warnings,
    plan: [
      ...lowRank.map((each) => new LowRank(each, scalingAt(config, each).scaling)),
      ...tokens.map((each) => new TokenRows(each)),
      ...trained.map((each) => new WholeParameter(each)),
    ],
  };
}

/** @throws OnnxLoraError `CONFIG_INVALID` if out of [0, 1) */
function dropoutOf({ loraDropout = 0 }: LoraOptions): number {
  if (loraDropout >= 0 && loraDropout < 1) return loraDropout;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `loraDropout must be a number from 0 to below 1, but it is ${loraDropout}.`,
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` for an unknown pattern, or one without dropout */
function patternOf({ loraDropout = 0, loraDropoutPattern: pattern = 'element' }: LoraOptions): DropoutPattern {
  oneOf('loraDropoutPattern', pattern, dropoutPatterns);
  if (pattern === 'element' || loraDropout > 0) return pattern;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `loraDropoutPattern "${pattern}" says how loraDropout leaves out, which is 0. Set loraDropout, such as to 0.1, or leave the pattern out.`,
  );
}

function choose(model: Model, options: LoraOptions, scale: { readonly r: number; readonly loraAlpha: number }) {
  const parameters = targetParameters(model, options.targetParameters ?? []);
  const wanted = {
    ...options,
    ...scale,
    targetModules: targetNames(model, options),
    targetParameters: parameters.map(({ name }) => name),
  };
  const selected = selectNamed(model.namedModules(), wanted, model);
  const { targets, modulesToSave } = selected;
  const tokens = trainedTokens(model, options.trainableTokenIndices ?? [], [...targets, ...modulesToSave]);
  const ties = options.ensureWeightTying ? ensuredTies(model, { targets, modulesToSave, tokens }) : [];
  const sites = model.sitesByPath();
  return { ...selected, parameters, tokens, ties, adapted: withAttentions(withEmbeddings(targets, ties), sites) };
}

function idsByPath(tokens: readonly LowRankSite[]): AdapterConfig['trainableTokenIndices'] {
  const own = tokens.filter(({ tiedTo }) => !tiedTo);
  return own.length === 0 ? null : Object.fromEntries(own.map(({ site, tokens: ids }) => [site.path, ids!]));
}

/** PEFT's placeholder for an adapter without low-rank modules, since it rejects an empty list. */
const NO_MODULES = 'dummy-target-modules';

/** @throws OnnxLoraError `CONFIG_INVALID` for options that PEFT rejects together, or cannot load */
function checkTogether(
  { useDora, loraBias, loraDropout }: AdapterConfig,
  { adapted, parameters, ties }: Pick<ReturnType<typeof choose>, 'adapted' | 'parameters' | 'ties'>,
  initializer: Initializer | undefined,
): void {
  const [hasParameters, isInitialised] = [parameters.length > 0, initializer !== undefined];
  const isAttention = adapted.some(({ savedAs }) => savedAs !== undefined);
  const problem = [
    useDora && loraBias && 'useDora and loraBias',
    useDora && hasParameters && 'useDora and targetParameters',
    useDora && isAttention && 'useDora and a MultiheadAttention',
    loraDropout > 0 && hasParameters && 'loraDropout and targetParameters',
    loraDropout > 0 && isAttention && 'loraDropout and a MultiheadAttention',
    loraBias && hasParameters && 'loraBias and targetParameters',
    loraBias && isInitialised && 'loraBias and another initialisation than the default',
    hasParameters && isInitialised && 'targetParameters and another initialisation than the default',
    ties.length > 0 && isInitialised && 'ensureWeightTying and another initialisation than the default',
  ].find((each) => each !== false);
  if (problem === undefined) return;
  throw new OnnxLoraError('CONFIG_INVALID', `${problem} do not go together. Leave one of them out.`);
}

function biasOfPart({ path, part }: Site): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `bias: "lora_only" would train the bias of "${path}", which is one with others in "${part!.of}". Adapt "${part!.of}", or train no bias.`,
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` if the layers are stored as before */
function requireQuantised(lowRank: readonly LowRankSite[], model: Model, original: Model): void {
  const before = original.sitesByPath();
  if (lowRank.some(({ site }) => before.get(site.path)?.weight.stored.storage !== site.weight.stored.storage)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${model.name}" stores the layers to adapt as "${original.name}" does (${lowRank[0]?.site.weight.stored.storage}), so there is nothing lost that "loftq" could make up for. Train on the quantised model, or take another initialisation.`,
  );
}

function lowRankSite(site: Site, name: string | undefined, config: AdapterConfig): LowRankSite {
  const named = { site, ...(name === undefined || name === site.path ? {} : { savedAs: name }) };
  const { r } = scalingAt(config, named);
  requireRank(site, r);
  const refusal = kindOf(site).refuses(site, { r, dora: config.useDora, bias: config.loraBias });
  const dropout = dropoutAt(site, config);
  if (refusal === undefined) return { ...named, r, dora: config.useDora, bias: config.loraBias, ...dropout };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${site.path}" cannot be adapted in this way: the layer ${refusal}. Leave it out (excludeModules), or change the rank by rankPattern.`,
  );
}
