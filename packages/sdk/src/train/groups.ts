/** @file Parameter groups: which parameters learn at another rate, or decay otherwise. */

import { parseTensorName, type TensorRole } from '../adapter/formats/tensorNames.ts';
import { OnnxLoraError } from '../errors.ts';
import { nameRule } from '../lora/targetRules.ts';
import { notNegative, positive } from '../checks.ts';
import type { Parameter } from './parameters.ts';

/** A trained tensor, as rules of groups see it. */
export interface TrainedTensor {
  /** PEFT's name of it: `base_model.model.vit.layers.0.attention.query.lora_B.weight`. */
  readonly name: string;
  /** torch's path of the module. */
  readonly module: string;
  /** What the tensor is to the module; `tuned` of all tensors of another tuner than LoRA. */
  readonly role: TensorRole | 'tuned';
  /** Its shape in the graph, which may be the transpose of PEFT's. */
  readonly dims: readonly number[];
}

/** Parameters that are treated alike. */
export interface ParameterGroup {
  /**
   * Which parameters: by module as PEFT's `target_modules` does (a pattern for the whole path, or a list of paths or their
   * ends), or by a function.
   */
  readonly match: string | readonly string[] | ((tensor: TrainedTensor) => boolean);
  /** The learning rate, in parts of the run's. */
  readonly lrFactor?: number;
  /** Weight decay in place of the optimizer's. */
  readonly weightDecay?: number;
}

/** How one parameter is treated. */
export interface ParameterRule {
  readonly lrFactor: number;
  readonly weightDecay: number;
}

/**
 * How each parameter is treated: by default, or as the groups say that it matches, in which a later group overrides what an
 * earlier one says.
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for modules that match nothing, `CONFIG_INVALID` for a number out of its range
 */
export function applyGroups(
  parameters: readonly Parameter[],
  groups: readonly ParameterGroup[],
  weightDecay: number,
): ReadonlyMap<string, ParameterRule> {
  const tensors = parameters.map((parameter) => [parameter.input.name, trainedTensor(parameter)] as const);
  for (const { match } of groups) {
    const matches = matcher(match);
    // Functions are general rules that may find nothing in one model; names are meant.
    if (typeof match !== 'function' && !tensors.some(([, tensor]) => matches(tensor)))
      throw nothingMatches(
        match,
        tensors.map(([, { module }]) => module),
      );
  }
  return new Map(tensors.map(([input, tensor]) => [input, ruleFor(tensor, groups, weightDecay)]));
}

/**
 * How one tensor is treated, as {@link applyGroups} says.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range
 */
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

/** transformers' rule for what does not decay; it has its patterns for names in lower case. */
const undecayed = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

function isUndecayed({ name, role, dims }: TrainedTensor): boolean {
  // A normalisation that is trained whole may have any name; its weight has one dimension.
  const isNorm = role === 'parameter' && dims.length === 1;
  return isNorm || undecayed.some((pattern) => pattern.test(name.toLowerCase()));
}

/**
 * The group of what transformers' Trainer does not decay: biases and parameters of normalisations. DoRA's magnitudes do
 * decay, as they do there.
 */
export const withoutDecay: ParameterGroup = { match: isUndecayed, weightDecay: 0 };

/** Settings of {@link loraPlus}. */
export interface LoraPlusOptions {
  /** How many times A's learning rate B's is: 16 is the paper's advice, with a lower rate than without. */
  readonly ratio: number;
  /** The run's learning rate, of which the other rates are made. */
  readonly lr: number;
  /** The learning rate of adapters of embeddings; 1e-6 by default. */
  readonly embeddingLr?: number;
}

/**
 * LoRA+: B learns faster than A, and embeddings more slowly. The groups are those of PEFT's `create_loraplus_optimizer`:
 * what has one dimension (biases, normalisations, magnitudes of linear layers) learns as B does, and of that biases and
 * normalisations do not decay. They take the place of {@link withoutDecay}.
 *
 * @see https://arxiv.org/abs/2402.12354
 * @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range
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
