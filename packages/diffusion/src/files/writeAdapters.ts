/** @file From adapters of a pipeline to a LoRA file: the one that they came from, or one in a chosen layout. */

import { type Adapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { configKeys, floats, LORA, numberTensor, scalingOf } from '@onnx-lora/sdk/plugin';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import type { Role } from './keys.ts';
import { ROWS } from './lycoris.ts';
import { type Components, ModuleNames, type Spelling, type Target } from './moduleNames.ts';
import { type KeyLayout, type ModuleLayout, PEFT_METADATA, type PipelineAdapter } from './readAdapters.ts';

/** Options of {@link writeLoraFile}. */
export interface WriteLoraOptions {
  /**
   * The layout of adapters that come from no file, or are to change theirs: `kohya` for A1111, ComfyUI and kohya's
   * scripts, `original` the same with the names of the authors' code (SDXL, Flux), `diffusers` for diffusers with
   * PEFT's config in the metadata. By default the layout of the file that they were read from, or `kohya`.
   */
  readonly layout?: Spelling;
  /** Replaces the file's metadata, such as `ss_base_model_version`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes adapters as one LoRA file. Adapters that {@link readPipelineAdapter} has read are written with the keys, types
 * and shapes of their file.
 * @param components the pipeline's networks, by which layers are named
 * @throws OnnxLoraError `INPUT_INVALID` for a layer that the layout has no name for; `FILE_INVALID` if writing fails
 */
export async function writeLoraFile(
  file: string,
  adapter: PipelineAdapter,
  components: Components,
  options: WriteLoraOptions = {},
): Promise<void> {
  const { tensors, metadata } = formatLoraFile(adapter, components, options);
  await writeSafetensors(file, tensors, metadata);
}

/** The tensors and metadata of {@link writeLoraFile}. @throws OnnxLoraError `INPUT_INVALID` as there */
export function formatLoraFile(
  { adapters, layout }: PipelineAdapter,
  components: Components,
  options: WriteLoraOptions = {},
): { readonly tensors: Map<string, Tensor>; readonly metadata: Readonly<Record<string, string>> } {
  const isOwn = layout !== undefined && options.layout === undefined;
  const spelling = options.layout ?? 'kohya';
  const modules = isOwn ? layout.modules : newLayout(adapters, new ModuleNames(components), spelling);
  const tensors = new Map<string, Tensor>(isOwn ? layout.absent : []);
  for (const module of modules) {
    for (const [role, key] of module.keys) {
      const found = tensorOf(adapters, module, role, key);
      if (found) tensors.set(`${module.name}${key.suffix}`, found);
    }
  }
  const hasConfig = isOwn ? layout.metadata[PEFT_METADATA] !== undefined : spelling === 'diffusers';
  const own = options.metadata ?? layout?.metadata ?? (spelling === 'diffusers' ? { format: 'pt' } : {});
  return { tensors, metadata: hasConfig ? { ...own, [PEFT_METADATA]: peftMetadata(adapters) } : own };
}

/** A tensor as the file holds it. */
function tensorOf(
  adapters: Readonly<Record<string, Adapter>>,
  { targets, name }: ModuleLayout,
  role: Role,
  { dims, type }: KeyLayout,
): Tensor | undefined {
  const parts = targets.map((target) => ({ target, adapter: adapters[target.component]! }));
  const [{ adapter, target: first }] = parts as [(typeof parts)[number]];
  if (adapter.config.peftType !== LORA) {
    const own = adapter.tensors.get(`base_model.model.${first.path}.${role}`);
    if (!own) return undefined;
    return type === own.type || role !== 'on_input' ? shaped(own, dims) : numberTensor(Number(own.data[0]), type, dims);
  }
  const get = (target: Target, suffix: string): Tensor | undefined => adapter.tensors.get(`base_model.model.${target.path}.${suffix}`); // prettier-ignore
  const all = (suffix: string): Tensor[] => targets.flatMap((target) => get(target, suffix) ?? []);
  const scales = targets.map(({ path }) => scalingOf(adapter.config, path));
  const [scale] = scales as [(typeof scales)[number]];
  if (targets.length > 1 && !isShared(all('lora_A.weight'), scales)) return joined(name, role, type, all, scales);
  if (role === 'alpha') return numberTensor(scale.scaling * scale.r, type, dims);
  if (role === 'lora_down') return shaped(all('lora_A.weight')[0]!, dims);
  const suffix = { lora_up: 'lora_B.weight', magnitude: 'lora_magnitude_vector', up_bias: 'lora_B.bias' }[role as 'lora_up']; // prettier-ignore
  const rows = all(suffix);
  return rows.length === 0 ? undefined : shaped(stacked(rows), dims);
}

/** True if all parts of a fused layer have one A and one scale, as they were read. */
function isShared(downs: readonly Tensor[], scales: readonly { readonly scaling: number }[]): boolean {
  const [first] = downs as [Tensor];
  return (
    scales.every(({ scaling }) => scaling === scales[0]!.scaling) &&
    downs.every(({ data }) => data.length === first.data.length && data.every((value, i) => value === first.data[i]))
  );
}

/** Parts of a fused layer that were trained apart: all A below each other, B in blocks, the scales in B. */
function joined(
  name: string,
  role: Role,
  type: Tensor['type'],
  all: (suffix: string) => Tensor[],
  scales: readonly { readonly r: number; readonly scaling: number }[],
): Tensor {
  const [downs, ups] = [all('lora_A.weight').map(floats), all('lora_B.weight')];
  const r = scales.reduce((sum, each) => sum + each.r, 0);
  if (role === 'alpha') return numberTensor(r, type, []);
  if (role === 'lora_down') {
    const data = Float32Array.from(downs.flatMap((each) => [...each]));
    return { type: 'float32', dims: [r, data.length / r], data };
  }
  if (role !== 'lora_up')
    throw new OnnxLoraError('INPUT_INVALID', `The parts of ${JSON.stringify(name)} have ${role} each, which the fused layer cannot hold. Write the layout "diffusers".`); // prettier-ignore
  const rows = ups.map(({ dims }) => dims[0]!);
  const data = new Float32Array(rows.reduce((sum, each) => sum + each, 0) * r);
  let [row, column] = [0, 0];
  ups.forEach((up, part) => {
    const { r: own, scaling } = scales[part]!;
    floats(up).forEach((value, i) => (data[(row + Math.floor(i / own)) * r + column + (i % own)] = value * scaling));
    row += rows[part]!;
    column += own;
  });
  return { type: 'float32', dims: [row, r], data };
}

function stacked(parts: readonly Tensor[]): Tensor {
  const [first] = parts as [Tensor];
  if (parts.length === 1) return first;
  const rows = parts.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const data = new (first.data.constructor as Float32ArrayConstructor)(parts.reduce((sum, each) => sum + each.data.length, 0)); // prettier-ignore
  let at = 0;
  for (const each of parts) {
    data.set(each.data as Float32Array, at);
    at += each.data.length;
  }
  return { type: first.type, dims: [rows, ...first.dims.slice(1)], data };
}

/** In the file's shape, unless training has changed its size. */
function shaped(own: Tensor, dims: readonly number[]): Tensor {
  const size = dims.reduce((all, dim) => all * dim, 1);
  return size === own.data.length ? { ...own, dims } : own;
}

const kohyaSuffixes: Readonly<Partial<Record<Role, string>>> = {
  lora_down: '.lora_down.weight',
  lora_up: '.lora_up.weight',
  lora_mid: '.lora_mid.weight',
  ia3_weight: '.weight',
};

const peftSuffixes: Readonly<Partial<Record<Role, string>>> = {
  lora_down: '.lora_A.weight',
  lora_up: '.lora_B.weight',
  magnitude: '.lora_magnitude_vector',
  up_bias: '.lora_B.bias',
};

/** PEFT's ends of names, by role. */
const peftRoles: Readonly<Record<string, Role>> = {
  'lora_A.weight': 'lora_down',
  'lora_B.weight': 'lora_up',
  lora_magnitude_vector: 'magnitude',
  'lora_B.bias': 'up_bias',
};

/** The layout of adapters that come from no file. */
function newLayout(
  adapters: Readonly<Record<string, Adapter>>,
  names: ModuleNames,
  spelling: Spelling,
): ModuleLayout[] {
  const layouts = new Map<string, { targets: readonly Target[]; keys: Map<Role, KeyLayout> }>();
  for (const [component, { tensors, config }] of Object.entries(adapters)) {
    const isLora = config.peftType === LORA;
    for (const [key, { dims, type }] of tensors) {
      const bare = key.replace(/^base_model\.model\./, '');
      const word = isLora ? Object.keys(peftRoles).find((each) => bare.endsWith(`.${each}`)) : bare.slice(bare.lastIndexOf('.') + 1); // prettier-ignore
      const path = word === undefined ? bare : bare.slice(0, -word.length - 1);
      const name = names.write(spelling, component, path);
      if (word === undefined || name === undefined)
        throw new OnnxLoraError('INPUT_INVALID', `The layout "${spelling}" has no name for ${JSON.stringify(key)} of ${component}. Save the adapter as a folder of PEFT.`); // prettier-ignore
      if (word === ROWS) continue;
      const role = isLora ? peftRoles[word]! : (word as Role);
      const suffix = (spelling === 'diffusers' ? peftSuffixes : kohyaSuffixes)[role] ?? `.${role}`;
      const own = layouts.get(name) ?? { targets: names.find(name), keys: new Map<Role, KeyLayout>() };
      if (spelling !== 'diffusers' && role === 'magnitude')
        own.keys.set('magnitude', { suffix: '.dora_scale', type, dims: [dims.length > 1 ? dims[1]! : dims[0]!, 1, ...dims.slice(2)] }); // prettier-ignore
      else own.keys.set(role, { suffix, type, dims });
      if (isLora && spelling !== 'diffusers') own.keys.set('alpha', { suffix: '.alpha', type, dims: [] });
      layouts.set(name, own);
    }
  }
  return [...layouts].map(([name, own]) => ({ name, ...own }));
}

/** PEFT's configs of all networks, as diffusers keeps them in the header. */
function peftMetadata(adapters: Readonly<Record<string, Adapter>>): string {
  const all = Object.entries(adapters).flatMap(([component, { config }]) =>
    [...configKeys(config)].map(([key, value]) => [`${component}.${key}`, value] as const),
  );
  return JSON.stringify(Object.fromEntries(all.toSorted(([a], [b]) => (a < b ? -1 : 1))), null, 2);
}
