/** @file PEFT's names of an adapter's tensors. */

/** A tensor's role in its module. `parameter` is a fully trained weight or bias. */
export type TensorRole =
  | 'lora_A'
  | 'lora_B'
  | 'lora_B.bias'
  | 'lora_embedding_A'
  | 'lora_embedding_B'
  | 'lora_magnitude_vector'
  | 'trainable_tokens_delta'
  | 'own_tokens_delta'
  | 'base_layer.weight'
  | 'base_layer.bias'
  | 'parameter';

/** A parsed tensor name. */
export interface TensorName {
  /** torch's path, with PEFT's nested wrappers (`attn.base_layer.out_proj`); empty for parameters of the model. */
  readonly module: string;
  /** The tensor's role. */
  readonly role: TensorRole;
  /** For the role `parameter`, its name, such as `weight`. */
  readonly parameter?: string;
}

/** Prefix of PEFT's tensor names. */
export const PEFT_PREFIX = 'base_model.model.';

const suffixes: Readonly<Record<Exclude<TensorRole, 'parameter'>, string>> = {
  lora_A: 'lora_A.weight',
  lora_B: 'lora_B.weight',
  'lora_B.bias': 'lora_B.bias',
  lora_embedding_A: 'lora_embedding_A',
  lora_embedding_B: 'lora_embedding_B',
  lora_magnitude_vector: 'lora_magnitude_vector',
  trainable_tokens_delta: 'token_adapter.trainable_tokens_delta',
  // For adapters of rows alone.
  own_tokens_delta: 'trainable_tokens_delta',
  'base_layer.weight': 'base_layer.weight',
  'base_layer.bias': 'base_layer.bias',
};

/** Roles by suffix without the adapter's name. A few old versions add `.weight` to bare tensors. */
const roles = new Map<string, Exclude<TensorRole, 'parameter'>>(
  Object.entries(suffixes).map(([role, suffix]) => [suffix, role as Exclude<TensorRole, 'parameter'>]),
);
for (const bare of ['lora_embedding_A', 'lora_embedding_B', 'lora_magnitude_vector'] as const) {
  roles.set(`${bare}.weight`, bare);
}

const named = new Set([
  'lora_A',
  'lora_B',
  'lora_embedding_A',
  'lora_embedding_B',
  'lora_magnitude_vector',
  'trainable_tokens_delta',
]);

/**
 * Parses a tensor name, also without `base_model.model.`, or with an adapter's name (`lora_A.default.weight`) as in a
 * live model's state dict. Other names are plain parameters.
 */
export function parseTensorName(name: string): TensorName {
  const parts = (name.startsWith(PEFT_PREFIX) ? name.slice(PEFT_PREFIX.length) : name).split('.');
  // The longest suffix has four parts: trainable tokens with an adapter's name.
  for (let length = Math.min(4, parts.length); length > 0; length--) {
    const role = roles.get(withoutAdapter(parts.slice(-length)).join('.'));
    if (role) return { module: parts.slice(0, -length).join('.'), role };
  }
  const norm = parts.lastIndexOf(NORMS);
  if (norm > 0 && norm < parts.length - 1) return { module: parts.slice(0, norm).join('.'), role: 'parameter', parameter: parts.at(-1)! }; // prettier-ignore
  const saved = parts.lastIndexOf('modules_to_save');
  const kept = saved > 0 && saved < parts.length - 2 ? [...parts.slice(0, saved), ...parts.slice(saved + 2)] : parts;
  return { module: kept.slice(0, -1).join('.'), role: 'parameter', parameter: kept.at(-1)! };
}

const NORMS = 'ln_tuning_layers';

/** LN tuning's name of a module's parameter, from torch's name. */
export function normName(module: string, parameter: string): string {
  return tensorName(module, 'parameter', `${NORMS}.${parameter.slice(parameter.lastIndexOf('.') + 1)}`);
}

/**
 * PEFT's name of a tensor.
 * @param parameter for the role `parameter`, its name
 */
export function tensorName(module: string, role: TensorRole, parameter = 'weight'): string {
  const suffix = role === 'parameter' ? parameter : suffixes[role];
  return `${PEFT_PREFIX}${module === '' ? '' : `${module}.`}${suffix}`;
}

function withoutAdapter(parts: readonly string[]): readonly string[] {
  const at = parts.findIndex((part) => named.has(part)) + 1;
  if (at === 0 || at >= parts.length) return parts;
  // `lora_A.weight` has no adapter's name; `lora_A.default.weight` and `lora_embedding_A.default` do.
  const last = parts.length - 1;
  const plain = at === last && (parts[at] === 'weight' || parts[at] === 'bias');
  return plain ? parts : [...parts.slice(0, at), ...parts.slice(at + 1)];
}
