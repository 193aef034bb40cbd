/** @file Adapters that are made here, opened by PEFT itself: nothing is missing there or too much, and merged both are the same. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  float32,
  loadAdapter,
  merge,
  type Model,
  OnnxLoraError,
  openModel,
  type Tensor,
} from '@onnx-lora/sdk';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import { type Plugin, type Tuner, readFloats } from '@onnx-lora/sdk/plugin';
import { randomAdapter } from '@onnx-lora/testing';
import { lastJson } from '../bench/spawn.ts';

/** PEFT's result for an adapter. */
export interface Exchanged {
  readonly status: 'passed' | 'failed' | 'not applicable';
  readonly detail: string;
}

/** JSON printed by the script beside this file. */
interface Told {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  /** The largest difference of merged weights, of the weight's largest number; null where PEFT does not merge. */
  readonly difference: number | null;
}

/** Types with incomplete files even for PEFT: it recomputes the missing part by another decomposition, or not at all. */
const unlikeInPeft: Readonly<Record<string, string>> = {
  PSOFT: 'its basis has the signs of LAPACK, and PEFT does not save it',
  FROD: 'PEFT loads V and leaves U as that of the V before',
};

/** Rounding of float32 in reordered products and decompositions. */
const TOLERANCE = 2e-4;

/**
 * Makes a random adapter by the tuner and settings of a case, saves it, and has PEFT load and merge it.
 *
 * @param tuners those of the plugin
 */
export async function exchange(
  folder: string,
  python: string,
  plugins: readonly Plugin[],
  tuners: readonly Tuner[],
): Promise<Exchanged> {
  const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-exchange-'));
  try {
    const given = await loadAdapter(path.join(folder, 'adapter'));
    const { config } = given;
    const keys = JSON.parse(readFileSync(path.join(folder, 'adapter/adapter_config.json'), 'utf8')) as Record<string, unknown>; // prettier-ignore
    const unlike = unlikeInPeft[config.peftType];
    if (unlike !== undefined) return { status: 'not applicable', detail: unlike };
    const opened = await openModel(path.join(folder, 'model.onnx'), { plugins });
    const [model, adapter] =
      config.peftType === 'TRAINABLE_TOKENS' ? [opened, moved(given)] : await made(opened, given, keys, tuners);
    const at = (name: string): string => path.join(scratch, name);
    await adapter.save(at('adapter'));
    await writeSafetensors(at('base.safetensors'), weightsOf(model));
    const merges = await mergesTo(model, adapter, at('merged.onnx'));
    if (merges) await writeSafetensors(at('merged.safetensors'), weightsOf(await openModel(at('merged.onnx'))));
    const script = path.join(import.meta.dirname, '../../conformance/load_in_peft.py');
    const { missing, unexpected, difference } = (await lastJson(python, [script, folder, scratch])) as Told;
    const names = (what: string, all: readonly string[]): string[] => (all.length > 0 ? [`${what}: ${all.slice(0, 3).join(', ')} (${all.length})`] : []); // prettier-ignore
    const problems = [...names('missing', missing), ...names('not known there', unexpected)];
    if (merges !== (difference !== null)) problems.push(`merges ${merges ? 'here alone' : 'in PEFT alone'}`);
    if (difference !== null && !(difference < TOLERANCE)) problems.push(`merged weights differ by ${difference}`);
    return problems.length > 0
      ? { status: 'failed', detail: problems.join('; ') }
      : { status: 'passed', detail: difference === null ? 'not merged' : `merged ${difference.toExponential(1)}` };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A random adapter of the kind that a case has, and the model that it is for. */
async function made(
  opened: Model,
  { config }: Adapter,
  keys: Readonly<Record<string, unknown>>,
  tuners: readonly Tuner[],
): Promise<readonly [Model, Adapter]> {
  const isVariant = ({ variant }: Tuner): boolean => variant !== undefined && Boolean(keys[variant]);
  const norms = config.peftType === 'LN_TUNING' ? { name: 'ln_tuning', defaults: {}, rowInputs: [] } : undefined;
  const tuner = norms ?? tuners.find((each) => each.peftType === config.peftType && (each.variant === undefined || isVariant(each))); // prettier-ignore
  if (!tuner) throw new OnnxLoraError('CONFIG_INVALID', `No plugin brings a tuner for ${config.peftType}.`);
  const settings = Object.fromEntries(Object.keys(tuner.defaults).flatMap((key) => (keys[key] === undefined ? [] : [[key, keys[key]]]))); // prettier-ignore
  // Files have them here whatever a case says: nothing else tells them.
  if ('save_indices' in settings) settings['save_indices'] = true;
  const model = opened.withRowInputs(tuner.rowInputs ?? []);
  const lora = { tuner: { name: tuner.name, ...settings }, targetModules: config.targetModules as string[] };
  return [model, await randomAdapter(model, { lora })];
}

/** An adapter with other numbers: files of trained tokens alone are made by training on with one, and not from nothing. */
function moved({ config, tensors, baseDigest }: Adapter): Adapter {
  const others = [...tensors].map(([name, { data, dims }]) => [name, float32((data as Float32Array).map((each, i) => each + 0.1 * Math.sin(i)), dims)] as const); // prettier-ignore
  return new Adapter(config, new Map(others), baseDigest);
}

/** Whether an adapter could be merged. */
async function mergesTo(model: Model, adapter: Parameters<typeof merge>[1], file: string): Promise<boolean> {
  try {
    await merge(model, adapter, file);
    return true;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'MODEL_UNSUPPORTED') return false;
    throw error;
  }
}

/** The weights and biases of all layers, as torch lays them out, by torch's names, and of normalisations that kept theirs. */
function weightsOf(model: Model): Map<string, Tensor> {
  const vectors = (model.onnx.model.graph?.initializer ?? []).flatMap((each) => {
    const { name = '', dims = [] } = each;
    if (dims.length !== 1 || !/\.(weight|bias)$/.test(name)) return [];
    return [[name, float32(readFloats(each), dims.map(Number))] as const];
  });
  return new Map([
    ...vectors,
    ...model.sites().flatMap(({ path: module, kind, weight: { stored, layout }, bias, weightShape }) => {
      const [rows, columns] = stored.dims as [number, number];
      const values = stored.read();
      const turned = kind === 'linear' && layout === 'in-out';
      const data = turned ? values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!) : values.slice();
      const own = bias?.stored.read().slice();
      return [
        [`${module}.weight`, float32(data, [...weightShape])] as const,
        ...(own ? [[`${module}.bias`, float32(own, [own.length])] as const] : []),
      ];
    }),
  ]);
}
