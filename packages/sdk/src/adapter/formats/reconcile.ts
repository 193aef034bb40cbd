/** @file Checks an adapter's config against its tensors, before anything is computed with them. */

import { emitWarning } from '../../platform/system.ts';
import { OnnxLoraError } from '../../errors.ts';
import { PatternWork } from '../../lora/patternMatch.ts';
import { ALL_LINEAR, layerRule, nameRule } from '../../lora/targetRules.ts';
import { attentionAround } from '../../lora/methods/loraSite.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { Adapter } from '../adapter.ts';
import { firstNames, quote } from './foreignJson.ts';
import { type AdapterConfig, LORA, unknownKeys } from './peftConfig.ts';
import { variantOf } from './peftVariants.ts';
import { scalingOf } from './scaling.ts';
import { parseTensorName, type TensorRole } from './tensorNames.ts';

/** A config with its tensors. */
type AdapterParts = Pick<Adapter, 'config' | 'tensors'>;

/** Checked pairs: adapters are placed repeatedly. */
const agreeing = new WeakMap<AdapterParts['tensors'], AdapterConfig>();
/** Configs whose warnings were emitted. */
const told = new WeakSet<AdapterConfig>();

/**
 * Rejects an adapter whose config contradicts its tensors, since either may be wrong. PEFT rejects other ranks too, but
 * silently ignores missing tensors and modules. Where PEFT warns, this warns: of unknown keys with content, which a
 * later version may define, and of modules_to_save without tensors. Other tuners and variants of LoRA
 * check their tensors themselves.
 * - Each module's rank is that of `r` and `rank_pattern`. Stacked parameters have a multiple of it.
 * - `use_dora` and `lora_bias` imply a magnitude and a bias for each module, and only they do.
 * - `target_modules`, `exclude_modules` and `layers_to_transform` select each module with tensors.
 * - `trainable_token_indices` has rows.
 * @param where the config's name for messages: a quoted file, or `The adapter's config`
 * @param tunerKeys keys that the adapter's tuner reads, if known
 * @throws OnnxLoraError `ADAPTER_INVALID` with key, module and remedy
 */
export function requireConfigMatchesTensors(
  { config, tensors }: AdapterParts,
  where: string,
  tunerKeys?: Iterable<string>,
): void {
  if (agreeing.get(tensors) === config) return;
  const isVariant = config.peftType !== LORA || variantOf(config) !== undefined;
  // Only a tuner knows its keys.
  if (isVariant && tunerKeys === undefined) return;
  if (!told.has(config)) {
    told.add(config);
    for (const message of warningsOf({ config, tensors }, tunerKeys)) emitWarning(`${where} ${message}`); // prettier-ignore
  }
  agreeing.set(tensors, config);
  if (isVariant) return;
  requireRows(config, tensors, where);
  const modules = lowRankModules(tensors);
  for (const [module, own] of modules) requireRank(config, module, own, where);
  requirePromised(config.useDora, 'use_dora', 'lora_magnitude_vector', modules, where);
  requirePromised(config.loraBias, 'lora_bias', 'lora_B.bias', modules, where);
  requireTargets(config, [...modules.keys()], where);
}

type Roles = ReadonlyMap<TensorRole, Tensor>;

function lowRankModules(tensors: AdapterParts['tensors']): Map<string, Roles> {
  const modules = new Map<string, Map<TensorRole, Tensor>>();
  for (const [name, tensor] of tensors) {
    const { module, role } = parseTensorName(name);
    if (!role.startsWith('lora_')) continue;
    modules.set(module, (modules.get(module) ?? new Map<TensorRole, Tensor>()).set(role, tensor));
  }
  return modules;
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for factors of another rank than the config's */
function requireRank(config: AdapterConfig, module: string, own: Roles, where: string): void {
  const A = own.get('lora_A') ?? own.get('lora_embedding_A');
  if (!A) return;
  const found = A.dims[0] ?? 0;
  const expected = scalingOf(config, attentionAround(module) ?? module).r;
  if (found === expected) return;
  // A stack holds all experts' factors, and patterns may match its parameters.
  const ranks = [config.r, ...Object.values(config.rankPattern)];
  if (isParameter(config, module) && ranks.some((r) => A.dims.some((dim) => dim % r === 0))) return;
  throw invalid(
    `${where} gives "${module}" the rank ${expected} (${expected === config.r ? 'r' : 'rank_pattern'}), and its tensors have the rank ${found}. The scaling lora_alpha / r would be wrong, and PEFT loads no such file. Correct r or rank_pattern, or save the adapter again.`,
  );
}

/** True for modules whose tensors belong to parameters named in the config. */
function isParameter({ targetParameters }: AdapterConfig, module: string): boolean {
  const plain = module.replace(/(\.base_layer)+$/, '');
  return (targetParameters ?? []).some((name) => {
    const around = name.slice(0, Math.max(0, name.lastIndexOf('.')));
    return plain === name || around === '' || plain === around || plain.endsWith(`.${around}`) || plain.endsWith(`.${name}`); // prettier-ignore
  });
}

/** @throws OnnxLoraError `ADAPTER_INVALID` if a switch and its tensors are not both present */
function requirePromised(
  isOn: boolean,
  key: string,
  role: TensorRole,
  modules: ReadonlyMap<string, Roles>,
  where: string,
): void {
  // PEFT has no bias of B for an embedding.
  const asked = [...modules].filter(([, own]) => own.has('lora_B') || (own.has('lora_embedding_B') && role !== 'lora_B.bias')); // prettier-ignore
  const wrong = asked.filter(([, own]) => own.has(role) !== isOn).map(([module]) => `"${module}"`);
  if (wrong.length === 0) return;
  throw invalid(
    isOn
      ? `${where} says ${key}, and there is no ${role} for ${firstNames(wrong)}. PEFT would initialize it. Save the adapter again, or take ${key} away if it was trained without.`
      : `${where} does not say ${key}, and there is a ${role} for ${firstNames(wrong)}, which PEFT would leave out. Set ${key} to true, or remove these tensors.`,
  );
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for tensors of modules that the config does not select */
function requireTargets(config: AdapterConfig, modules: readonly string[], where: string): void {
  const { targetModules, excludeModules } = config;
  const isWord = typeof targetModules === 'string' && targetModules.toLowerCase() === ALL_LINEAR;
  // Their meaning depends on the model.
  if (targetModules === null || isWord || config.extra['ensure_weight_tying'] === true) return;
  const work = new PatternWork();
  const target = nameRule(targetModules, 'target_modules', work);
  const excluded = nameRule(excludeModules || [], 'exclude_modules', work);
  const layers = layerRule(config, work);
  const isChosen = (module: string): boolean => {
    if (isParameter(config, module)) return true;
    const path = attentionAround(module) ?? module;
    if (excluded.matches(path) || !target.matches(path)) return false;
    if (!layers.wanted || target.matchesExactly(path)) return true;
    const layer = layers.numberIn(path);
    return layer !== undefined && layers.wanted.has(layer);
  };
  const wrong = modules.filter((module) => !isChosen(module)).map((module) => `"${module}"`);
  if (wrong.length === 0) return;
  throw invalid(
    `${where} chooses modules by target_modules: ${JSON.stringify(targetModules).slice(0, 100)}${excludeModules?.length ? `, exclude_modules: ${JSON.stringify(excludeModules).slice(0, 100)}` : ''}, and there are tensors for others, which PEFT would leave out: ${firstNames(wrong)}. Name them in target_modules, or remove their tensors.`,
  );
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for missing trained rows */
function requireRows({ trainableTokenIndices }: AdapterConfig, tensors: AdapterParts['tensors'], where: string): void {
  const rows = trainableTokenIndices ? Object.values(trainableTokenIndices).flat() : [];
  const isRows = (name: string): boolean => parseTensorName(name).role === 'trainable_tokens_delta';
  if (rows.length === 0 || [...tensors.keys()].some(isRows)) return;
  throw invalid(
    `${where} says trainable_token_indices, and there are no rows (trainable_tokens_delta). Save the adapter again, or take the key away.`,
  );
}

/** Config entries without effect, as ends of sentences about the config. */
function warningsOf({ config, tensors }: AdapterParts, tunerKeys: Iterable<string> = []): string[] {
  const unknown = unknownKeys(config, new Set(tunerKeys)).map((key) => `${quote(key)}: ${JSON.stringify(config.extra[key]).slice(0, 100)}`); // prettier-ignore
  const saved = [...tensors.keys()].map((name) => parseTensorName(name)).filter(({ role }) => role === 'parameter');
  const names = config.modulesToSave ?? [];
  // PEFT's config of a sequence classifier names two heads; a model has one of them.
  const hasAny = names.some((name) => saved.some(({ module }) => around(module).some((path) => path.endsWith(name))));
  return [
    ...(unknown.length === 0
      ? []
      : [`has unknown keys, which are ignored: ${firstNames(unknown)}. PEFT ignores them, too. Check what wrote the file: a later version may compute something else.`]), // prettier-ignore
    ...(names.length === 0 || hasAny
      ? []
      : [`says modules_to_save: ${JSON.stringify(names)}, and there are no tensors of them: the base's own stay. If it was trained with a head of its own, save it again.`]), // prettier-ignore
  ];
}

function around(module: string): string[] {
  const parts = module.split('.');
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
}

function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('ADAPTER_INVALID', message);
}
