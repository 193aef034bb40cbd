/** @file Keys of LoRA files: a module's name, and a suffix for the role of the tensor. */

/** A tensor's role in its module: LyCORIS's names, and PEFT's for roles that only PEFT writes. */
export type Role =
  | 'lora_down'
  | 'lora_up'
  | 'lora_mid'
  | 'up_bias'
  | 'alpha'
  | 'dora_scale'
  | 'magnitude'
  | 'scalar'
  | 'hada_w1_a'
  | 'hada_w1_b'
  | 'hada_w2_a'
  | 'hada_w2_b'
  | 'hada_t1'
  | 'hada_t2'
  | 'lokr_w1'
  | 'lokr_w1_a'
  | 'lokr_w1_b'
  | 'lokr_w2'
  | 'lokr_w2_a'
  | 'lokr_w2_b'
  | 'lokr_t2'
  | 'diff'
  | 'diff_b'
  | 'ia3_weight'
  | 'on_input';

/** Every suffix that a known program writes, with its role. */
const suffixes: readonly (readonly [suffix: string, role: Role])[] = [
  // kohya, A1111, ComfyUI and LyCORIS.
  ['.lora_down.weight', 'lora_down'],
  ['.lora_up.weight', 'lora_up'],
  ['.lora_mid.weight', 'lora_mid'],
  ['.alpha', 'alpha'],
  ['.dora_scale', 'dora_scale'],
  ['.scalar', 'scalar'],
  ...(['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b', 'hada_t1', 'hada_t2'] as const).map(
    (role) => [`.${role}`, role] as const,
  ),
  ...(['lokr_w1', 'lokr_w1_a', 'lokr_w1_b', 'lokr_w2', 'lokr_w2_a', 'lokr_w2_b', 'lokr_t2'] as const).map(
    (role) => [`.${role}`, role] as const,
  ),
  ['.diff', 'diff'],
  ['.diff_b', 'diff_b'],
  ['.on_input', 'on_input'],
  // PEFT, and diffusers since 0.23.
  ['.lora_A.weight', 'lora_down'],
  ['.lora_B.weight', 'lora_up'],
  ['.lora_A.default.weight', 'lora_down'],
  ['.lora_B.default.weight', 'lora_up'],
  ['.lora_B.bias', 'up_bias'],
  ['.lora_magnitude_vector', 'magnitude'],
  ['.lora_magnitude_vector.weight', 'magnitude'],
  // diffusers before: layers, the text encoder's layers, and attention processors (`to_q_lora.down.weight`).
  ['.lora.down.weight', 'lora_down'],
  ['.lora.up.weight', 'lora_up'],
  ['.lora_linear_layer.down.weight', 'lora_down'],
  ['.lora_linear_layer.up.weight', 'lora_up'],
  ['.down.weight', 'lora_down'],
  ['.up.weight', 'lora_up'],
  // IA3 of LyCORIS; every other suffix that ends so is longer.
  ['.weight', 'ia3_weight'],
];

const longestFirst = suffixes.toSorted(([a], [b]) => b.length - a.length);

/** A key in its two parts. */
export interface ParsedKey {
  /** The module, as the file names it: `lora_unet_mid_block_attentions_0_proj_in`. */
  readonly name: string;
  /** The rest: `.lora_down.weight`. */
  readonly suffix: string;
  /** The tensor's role. */
  readonly role: Role;
}

/** Parses a key; undefined for a suffix that no known program writes. */
export function parseKey(key: string): ParsedKey | undefined {
  const found = longestFirst.find(([suffix]) => key.endsWith(suffix) && key.length > suffix.length);
  return found && { name: key.slice(0, -found[0].length), suffix: found[0], role: found[1] };
}
