/** @file Parameter groups with their own learning rate or weight decay. */

import { parseTensorName, type TensorRole } from '../adapter/formats/tensorNames.ts';
import { OnnxLoraError } from '../errors.ts';
import { nameRule } from '../lora/targetRules.ts';
import { notNegative, positive } from '../checks.ts';
import type { Parameter } from './parameters.ts';

/** A trained tensor, as passed to a group's `match`. */
export interface TrainedTensor {
  /** PEFT's name: `base_model.model.vit.layers.0.attention.query.lora_B.weight`. */
  readonly name: string;
  /** torch's module path. */
  readonly module: string;
  /** Role in the module; `tuned` for tensors of tuners other than LoRA. */
  readonly role: TensorRole | 'tuned';
  /** Shape in the graph, which may be transposed from PEFT's. */
  readonly dims: readonly number[];
}

/** Parameters with their own settings. */
export interface ParameterGroup {
  /** Selects parameters by module, as PEFT's `target_modules` (pattern or list), or by a function. */
  readonly match: string | readonly string[] | ((tensor: TrainedTensor) => boolean);
  /** Factor of the run's learning rate. */
  readonly lrFactor?: number;
  /** Weight decay instead of the optimizer's. */
  readonly weightDecay?: number;
}

/** Settings of one parameter. */
export interface ParameterRule {
  readonly lrFactor: number;
  readonly weightDecay: number;
}

/**
 * Settings of each parameter; later groups override earlier ones.
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for modules that match nothing, `CONFIG_INVALID` for a number out of range
 */
export function applyGroups(
  parameters: readonly Parameter[],
  groups: readonly ParameterGroup[],
  weightDecay: number,
): ReadonlyMap<string, ParameterRule> {
  const tensors = parameters.map((parameter) => [parameter.input.name, trainedTensor(parameter)] as const);
  for (const { match } of groups) {
    const matches = matcher(match);
    // Functions are general rules that may match nothing in a model; names must match.
    if (typeof match !== 'function' && !tensors.some(([, tensor]) => matches(tensor)))
      throw nothingMatches(
        match,
        tensors.map(([, { module }]) => module),
      );
  }
  return new Map(tensors.map(([input, tensor]) => [input, ruleFor(tensor, groups, weightDecay)]));
}

/** Settings of one tensor, by {@link applyGroups}. @throws OnnxLoraError `CONFIG_INVALID` for a number out of range */
export function ruleFor(tensor: TrainedTensor, groups: readonly ParameterGroup[], weightDecay: number): ParameterRule {
  const rule = { lrFactor: 1, weightDecay };
  for (const group of groups) {
    if (!matcher(group.match)(tensor)) continue;
    if (group.lrFactor !== undefined) rule.lrFactor = notNegative('lrFactor', group.lrFactor);
    if (group.weightDecay !== undefined) rule.weightDecay = notNegative('weightDecay', group.weightDecay);
  }
  return rule;
}

function matcher(match: ParameterGroup['match']): (tensor: TrainedTensor) => boolean {
  if (typeof match === 'function') return match;
  const rule = nameRule(match, 'match');
  return ({ module }) => rule.matches(module);
}

function trainedTensor({ input: { tuning, tensor }, dims }: Parameter): TrainedTensor {
  const name = tensor.savedAs;
  const { module, role } = parseTensorName(name);
  return {
    name,
    module,
    role: tensor.group ?? role,
    dims: tuning.parameter?.torchDims ?? dims,
  };
}

function nothingMatches(match: string | readonly string[], modules: readonly string[]): OnnxLoraError {
  const paths = [...new Set(modules)];
  const shown = paths.slice(0, 5).map((path) => `"${path}"`);
  const more = paths.length > shown.length ? ` and ${paths.length - shown.length} more` : '';
  return new OnnxLoraError(
    'TARGET_NOT_FOUND',
    `The parameter group ${JSON.stringify(match)} matches no trained module. Trained are ${shown.join(', ')}${more}.`,
  );
}

/** transformers' patterns of undecayed parameters, for names in lower case. */
const undecayed = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

function isUndecayed({ name, role, dims }: TrainedTensor): boolean {
  // A fully trained normalisation may have any name; its weight has one dimension.
  const isNorm = role === 'parameter' && dims.length === 1;
  return isNorm || undecayed.some((pattern) => pattern.test(name.toLowerCase()));
}

/** The group that transformers' Trainer does not decay: biases and normalisations, but not DoRA's magnitudes. */
export const withoutDecay: ParameterGroup = { match: isUndecayed, weightDecay: 0 };

/** Settings of {@link loraPlus}. */
export interface LoraPlusOptions {
  /** Factor of B's learning rate relative to A's: the paper advises 16, with a lower rate than usual. */
  readonly ratio: number;
  /** The run's learning rate. */
  readonly lr: number;
  /** Learning rate of embedding adapters; 1e-6 by default. */
  readonly embeddingLr?: number;
}

/**
 * LoRA+: B learns faster than A, and embeddings more slowly. The groups of PEFT's `create_loraplus_optimizer`:
 * one-dimensional tensors (biases, normalisations, magnitudes of linear layers) learn like B, biases and normalisations
 * without decay. They replace {@link withoutDecay}.
 * @see https://arxiv.org/abs/2402.12354
 * @throws OnnxLoraError `CONFIG_INVALID` for a number out of range
 */
export function loraPlus({ ratio, lr, embeddingLr = 1e-6 }: LoraPlusOptions): ParameterGroup[] {
  positive('ratio', ratio);
  positive('lr', lr);
  notNegative('embeddingLr', embeddingLr);
  const isEmbedding = ({ role }: TrainedTensor): boolean => role === 'lora_embedding_A' || role === 'lora_embedding_B';
  const isFast = ({ role, dims }: TrainedTensor): boolean =>
    role === 'lora_B' || role === 'lora_B.bias' || dims.length === 1;
  return [
    { match: isFast, lrFactor: ratio },
    { match: isEmbedding, lrFactor: embeddingLr / lr },
    { match: (tensor) => isFast(tensor) && isUndecayed(tensor), weightDecay: 0 },
  ];
}
