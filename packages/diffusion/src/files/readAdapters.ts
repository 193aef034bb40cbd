/** @file From a LoRA file to adapters for the graphs of a pipeline. */

import { Adapter, type AdapterConfig, OnnxLoraError, type Tensor, tensor } from '@onnx-lora/sdk';
import { adapterConfig, floats, LORA, parseAdapterConfig, patternTable, scalingOf } from '@onnx-lora/sdk/plugin';
import { type RoleShapes, shapeFault } from './forms.ts';
import type { Role } from './keys.ts';
import { type FileModule, type FileTensor, type LoraFile, readLoraFile, unknownKey } from './loraFile.ts';
import { LYCORIS, ROWS } from './lycoris.ts';
import { type Components, ModuleNames, type Target } from './moduleNames.ts';

/** How a file spells a tensor. */
export interface KeyLayout {
  /** The end of the key, after the module's name. */
  readonly suffix: string;
  /** Shape in the file. */
  readonly dims: readonly number[];
  /** Type in the file. */
  readonly type: Tensor['type'];
}

/** How a file spells a module. */
export interface ModuleLayout {
  /** The name in the file. */
  readonly name: string;
  /** The layers that it adapts: several for a fused one. */
  readonly targets: readonly Target[];
  /** Its tensors. */
  readonly keys: ReadonlyMap<Role, KeyLayout>;
}

/** The layout of a file that was read, by which {@link writeLoraFile} writes the same keys. */
export interface FileLayout {
  /** The modules in the file's order. */
  readonly modules: readonly ModuleLayout[];
  /** Tensors of layers that the graphs lack, by key: they have no effect, and are written back. */
  readonly absent: ReadonlyMap<string, Tensor>;
  /** The header's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Adapters of a pipeline: one for each network that a file adapts. */
export interface PipelineAdapter {
  /** Adapters by diffusers' name of the network: `unet`, `text_encoder` … */
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** The layout of the file; absent for adapters that come from training. */
  readonly layout?: FileLayout;
}

/**
 * Reads a LoRA file into adapters for a pipeline's networks. Modules that are all plain LoRA become adapters of PEFT's
 * type `LORA`; others, such as LoHa and DoRA's scales, become adapters of the tuner `lycoris`.
 * @param source a path, or a file that was read
 * @throws OnnxLoraError as {@link readLoraFile}; `ADAPTER_INVALID` naming the key of a tensor that no layer has, or that
 *   has another shape than its layer
 */
export async function readPipelineAdapter(source: string | LoraFile, components: Components): Promise<PipelineAdapter> {
  const file = typeof source === 'string' ? await readLoraFile(source) : source;
  const names = new ModuleNames(components);
  const layouts: ModuleLayout[] = [];
  const absent = new Map<string, Tensor>();
  const parts = new Map<string, Part[]>();
  const adaptedBy = new Map<string, string>();
  for (const module of file.modules) {
    const targets = targetsOf(file, module, names);
    const keys = [...module.tensors];
    for (const { component, path } of targets) {
      const [place, [, { key }]] = [`${component} ${path}`, keys[0]!];
      const other = adaptedBy.get(place);
      if (other !== undefined) throw unknownKey(file.file, key, `adapts the layer "${path}" of ${component}, as ${JSON.stringify(other)} does`); // prettier-ignore
      adaptedBy.set(place, key);
    }
    if (targets.every(({ weightShape }) => weightShape === undefined)) {
      for (const [, { key, tensor: own }] of keys) absent.set(key, own);
      continue;
    }
    requireShapes(file, module, targets);
    layouts.push({
      name: module.name,
      targets,
      keys: new Map(
        keys.map(
          ([
            role,
            {
              suffix,
              tensor: { dims, type },
            },
          ]) => [role, { suffix, dims, type }],
        ),
      ),
    });
    for (const target of targets)
      parts.set(target.component, [...(parts.get(target.component) ?? []), { target, module }]);
  }
  const adapters = Object.fromEntries(
    [...parts].map(([component, own]) => [component, adapterOf(file, component, own)]),
  );
  return { adapters, layout: { modules: layouts, absent, metadata: file.metadata } };
}

/** A layer, and the file's module that adapts it. */
interface Part {
  readonly target: Target;
  readonly module: FileModule;
}

function targetsOf({ file }: LoraFile, { name, tensors }: FileModule, names: ModuleNames): readonly Target[] {
  const found = names.find(name);
  if (found.length > 0) return found;
  const [{ key }] = [...tensors.values()] as [FileTensor];
  throw unknownKey(
    file,
    key,
    names.isAmbiguous(name) ? 'names several layers of the pipeline' : 'names no layer of the pipeline',
    names.names,
  );
}

/** Roles of PEFT beside those that {@link shapeFault} checks. */
const peftRoles: ReadonlySet<Role> = new Set<Role>(['magnitude', 'up_bias']);

function requireShapes({ file }: LoraFile, { name, tensors }: FileModule, targets: readonly Target[]): void {
  const [{ weightShape, rows }] = targets as readonly [Target];
  const weight = [rows ? rows[2] : weightShape![0]!, ...weightShape!.slice(1)];
  const shapes = Object.fromEntries([...tensors].flatMap(([role, { tensor: own }]) => (peftRoles.has(role) ? [] : [[role, own.dims]]))); // prettier-ignore
  const outputs = [...tensors].find(([role, { tensor: own }]) => peftRoles.has(role) && own.data.length !== weight[0]);
  const fault = shapeFault(shapes as RoleShapes, weight) ?? (outputs ? { role: outputs[0], problem: `holds ${outputs[1].tensor.data.length} values, but the layer has ${weight[0]} outputs` } : undefined); // prettier-ignore
  if (!fault) return;
  const key = tensors.get(fault.role)?.key;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    key === undefined
      ? `"${file}" holds only part of ${JSON.stringify(name)}: ${fault.role} is missing. Copy the file again.`
      : `"${file}": the key ${JSON.stringify(key)} ${fault.problem}. Use the base model that the file was made for.`,
  );
}

/** Roles of plain LoRA, which PEFT's own type holds. */
const plainRoles: ReadonlySet<Role> = new Set<Role>(['lora_down', 'lora_up', 'alpha', 'magnitude', 'up_bias']);

function adapterOf(file: LoraFile, component: string, parts: readonly Part[]): Adapter {
  const isPlain = parts.every(({ module }) => [...module.tensors.keys()].every((role) => plainRoles.has(role)));
  return isPlain ? loraAdapter(file, component, parts) : lycorisAdapter(file, parts);
}

function lycorisAdapter({ file }: LoraFile, parts: readonly Part[]): Adapter {
  const tensors = new Map<string, Tensor>();
  for (const { target, module } of parts) {
    const path = `base_model.model.${target.path}`;
    for (const [role, { key, tensor: own }] of module.tensors) {
      if (peftRoles.has(role))
        throw unknownKey(file, key, 'goes with plain LoRA alone, and the file holds other forms');
      tensors.set(`${path}.${role}`, role === 'on_input' ? asInt64(own) : own);
    }
    const { rows } = target;
    if (rows) tensors.set(`${path}.${ROWS}`, tensor('int64', BigInt64Array.from(rows, BigInt), [3]));
  }
  const targetModules = parts.map(({ target }) => target.path);
  return new Adapter(adapterConfig({ peftType: LYCORIS, r: 0, loraAlpha: 0, targetModules }), tensors);
}

function asInt64({ data, dims }: Tensor): Tensor {
  return tensor(
    'int64',
    BigInt64Array.from(data as Uint8Array, (value) => BigInt(value)),
    dims,
  );
}

/** Metadata key of diffusers: the config of PEFT of each network, with its name before each key. */
export const PEFT_METADATA = 'lora_adapter_metadata';

function loraAdapter(file: LoraFile, component: string, parts: readonly Part[]): Adapter {
  const known = peftConfig(file, component);
  const tensors = new Map<string, Tensor>();
  const [ranks, alphas] = [new Map<string, number>(), new Map<string, number>()];
  let doras = 0;
  for (const { target, module } of parts) {
    const path = `base_model.model.${target.path}`;
    const [out, ...inner] = target.weightShape!;
    const get = (role: Role): Tensor | undefined => module.tensors.get(role)?.tensor;
    const [down, up] = [get('lora_down')!, get('lora_up')!];
    const r = down.dims[0]!;
    const ones = inner.slice(1).map(() => 1);
    tensors.set(`${path}.lora_A.weight`, { ...down, dims: [r, ...inner] });
    tensors.set(`${path}.lora_B.weight`, { ...rowsOf(up, target), dims: [out!, r, ...ones] });
    const [magnitude, bias, alpha] = [get('magnitude'), get('up_bias'), get('alpha')];
    if (magnitude) tensors.set(`${path}.lora_magnitude_vector`, { ...rowsOf(magnitude, target), dims: ones.length > 0 ? [1, out!, ...ones] : [out!] }); // prettier-ignore
    if (bias) tensors.set(`${path}.lora_B.bias`, { ...rowsOf(bias, target), dims: [out!] });
    if (magnitude) doras++;
    ranks.set(target.path, r);
    alphas.set(target.path, alpha ? floats(alpha)[0]! : known ? scalingOf(known, target.path).alpha : r);
  }
  if (doras > 0 && doras < parts.length) {
    const odd = parts.find(({ module }) => !module.tensors.has('magnitude'))!;
    throw new OnnxLoraError('ADAPTER_INVALID', `"${file.file}" has DoRA's magnitudes for some layers of ${component}, but none for ${JSON.stringify(odd.module.name)}. Copy the file again.`); // prettier-ignore
  }
  const [r, loraAlpha] = [mostCommon(ranks), mostCommon(alphas)];
  const others = (all: ReadonlyMap<string, number>, usual: number): Record<string, number> =>
    patternTable(new Map([...all].filter(([, value]) => value !== usual)));
  const config: AdapterConfig = adapterConfig({
    r,
    loraAlpha,
    targetModules: [...ranks.keys()],
    rankPattern: others(ranks, r),
    alphaPattern: others(alphas, loraAlpha),
    useDora: doras > 0,
    useRslora: known?.useRslora ?? false,
    loraBias: parts.some(({ module }) => module.tensors.has('up_bias')),
  });
  return new Adapter(config, tensors);
}

function mostCommon(values: ReadonlyMap<string, number>): number {
  const counts = new Map<number, number>();
  for (const value of values.values()) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

/** The rows of a fused layer's tensor that are the target's. */
function rowsOf(whole: Tensor, { rows }: Target): Tensor {
  if (!rows) return whole;
  const [from, to, of] = rows;
  const each = whole.data.length / of;
  const data = whole.data.slice(from * each, to * each) as Tensor['data'];
  return { type: whole.type, data, dims: [to - from, ...whole.dims.slice(1)] };
}

/** PEFT's config of a network in diffusers' metadata, if the file has it. */
function peftConfig({ file, metadata }: LoraFile, component: string): AdapterConfig | undefined {
  const text = metadata[PEFT_METADATA];
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${file}": its metadata "${PEFT_METADATA}" is not JSON: ${(cause as Error).message}. Save the file again.`, { cause }); // prettier-ignore
  }
  const own = Object.entries(json as object).flatMap(([key, value]: [string, unknown]) =>
    key.startsWith(`${component}.`) ? [[key.slice(component.length + 1), value]] : [],
  );
  if (own.length === 0) return undefined;
  const config = parseAdapterConfig({ peft_type: LORA, ...Object.fromEntries(own) }, `${file}: ${PEFT_METADATA}`);
  return config.peftType === LORA ? config : undefined;
}
