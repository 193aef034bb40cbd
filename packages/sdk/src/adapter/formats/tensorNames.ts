/** @file The names that PEFT gives to an adapter's tensors in a file. */

/** What a tensor is to its module. `parameter` is a plain weight or bias that was trained in full. */
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

/** A tensor's name taken apart. */
export interface TensorName {
  /**
   * Torch path of the module; empty for a parameter of the model itself. Where PEFT has nested wrappers, as for
   * `attn.base_layer.out_proj` of a MultiheadAttention, the path keeps them.
   */
  readonly module: string;
  /** What the tensor is to the module. */
  readonly role: TensorRole;
  /** With the role `parameter`: which one, such as `weight`. */
  readonly parameter?: string;
}

/** What the names of PEFT's tensors begin with. */
export const PEFT_PREFIX = 'base_model.model.';

/** What follows the module's path, by role, as PEFT writes it. */
const suffixes: Readonly<Record<Exclude<TensorRole, 'parameter'>, string>> = {
  lora_A: 'lora_A.weight',
  lora_B: 'lora_B.weight',
  'lora_B.bias': 'lora_B.bias',
  lora_embedding_A: 'lora_embedding_A',
  lora_embedding_B: 'lora_embedding_B',
  lora_magnitude_vector: 'lora_magnitude_vector',
  trainable_tokens_delta: 'token_adapter.trainable_tokens_delta',
  // Of an adapter of such rows alone.
  own_tokens_delta: 'trainable_tokens_delta',
  'base_layer.weight': 'base_layer.weight',
  'base_layer.bias': 'base_layer.bias',
};

/** The name's end without an adapter's name → role. Bare tensors also occur with `.weight`, from a few old versions. */
const roles = new Map<string, Exclude<TensorRole, 'parameter'>>(
  Object.entries(suffixes).map(([role, suffix]) => [suffix, role as Exclude<TensorRole, 'parameter'>]),
);
for (const bare of ['lora_embedding_A', 'lora_embedding_B', 'lora_magnitude_vector'] as const) {
  roles.set(`${bare}.weight`, bare);
}

/** Parts after which an adapter's name may stand in the state dict of a live model. */
const named = new Set([
  'lora_A',
  'lora_B',
  'lora_embedding_A',
  'lora_embedding_B',
  'lora_magnitude_vector',
  'trainable_tokens_delta',
]);

/**
 * Takes a tensor's name apart. The prefix `base_model.model.` may be missing, and an adapter's name may be embedded
 * (`lora_A.default.weight`), as in a live model's state dict. A name that follows no rule is a plain parameter.
 */
export function parseTensorName(name: string): TensorName {
  const parts = (name.startsWith(PEFT_PREFIX) ? name.slice(PEFT_PREFIX.length) : name).split('.');
  // The longest ending has four parts: trainable tokens with an adapter's name.
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

/** What stands between a module's path and its parameter where LN tuning has trained it. */
const NORMS = 'ln_tuning_layers';

/** The name under which LN tuning stores a module's parameter, from torch's name of it. */
export function normName(module: string, parameter: string): string {
  return tensorName(module, 'parameter', `${NORMS}.${parameter.slice(parameter.lastIndexOf('.') + 1)}`);
}

/**
 * The name under which PEFT stores a tensor.
 *
 * @param parameter with the role `parameter`: which one.
 */
export function tensorName(module: string, role: TensorRole, parameter = 'weight'): string {
  const suffix = role === 'parameter' ? parameter : suffixes[role];
  return `${PEFT_PREFIX}${module === '' ? '' : `${module}.`}${suffix}`;
}

function withoutAdapter(parts: readonly string[]): readonly string[] {
  const at = parts.findIndex((part) => named.has(part)) + 1;
  if (at === 0 || at >= parts.length) return parts;
  // `lora_A.weight` has no adapter's name, `lora_A.default.weight` has, and so has `lora_embedding_A.default`.
  const last = parts.length - 1;
  const plain = at === last && (parts[at] === 'weight' || parts[at] === 'bias');
  return plain ? parts : [...parts.slice(0, at), ...parts.slice(at + 1)];
}
