/** @file Converts adapters of a modified base to plain ones for the original base. */

import { OnnxLoraError } from '../../errors.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { floats } from '../../graph/tensorData.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { escaped, scalingOf } from '../formats/scaling.ts';
import { parseTensorName, type TensorRole } from '../formats/tensorNames.ts';

/**
 * Undoes the subtraction of initial values B₀·A₀ from the base by PiSSA, OLoRA, CorDA or LoRA-GA: for the original
 * base, A' = [A; A₀] and B' = [B, −B₀] of twice the rank, with the same scaling and `init_lora_weights: true`. Like
 * PEFT's `save_pretrained(path_initial_model_for_weight_conversion=…)`, but also with patterns and rsLoRA.
 * @param trained the adapter after training
 * @param initial the same adapter before training; modules only in `trained` stay
 * @throws OnnxLoraError `ADAPTER_MISMATCH` if `trained` lacks a module of `initial`, or shapes differ
 */
export function convertResidual(trained: Adapter, initial: Adapter): Adapter {
  const tensors = new Map(trained.tensors);
  const ranks = new Map<string, number>();
  const kept = new Set<string>();
  for (const [name, tensor] of trained.tensors) {
    const { module, role } = parseTensorName(name);
    const factor = factorOf(role);
    if (!factor) continue;
    const first = initial.tensors.get(name);
    if (!first) kept.add(module);
    else {
      tensors.set(name, joined(name, factor, tensor, first));
      if (factor === 'A') ranks.set(module, tensor.dims[0]! + first.dims[0]!);
    }
  }
  const missing = [...initial.tensors.keys()].find(
    (name) => factorOf(parseTensorName(name).role) && !trained.tensors.has(name),
  );
  if (missing !== undefined || ranks.size === 0) {
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `The adapters before and after training do not fit together: ${missing === undefined ? 'they have no module in common' : `the trained one lacks "${missing}"`}. Pass the first values that this adapter was trained from.`,
    );
  }
  return new Adapter(scaledAlike(trained.config, ranks, kept), tensors, trained.baseDigest, trained.notes);
}

function factorOf(role: TensorRole): 'A' | 'B' | undefined {
  if (role === 'lora_A' || role === 'lora_embedding_A') return 'A';
  return role === 'lora_B' || role === 'lora_embedding_B' ? 'B' : undefined;
}

/** [A; A₀] along the first dimension, [B, −B₀] along the second. */
function joined(name: string, factor: 'A' | 'B', trained: Tensor, initial: Tensor): Tensor {
  const axis = factor === 'A' ? 0 : 1;
  if (trained.dims.some((dim, i) => i !== axis && dim !== initial.dims[i])) {
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `"${name}" has shape [${trained.dims.join(', ')}] after training, but [${initial.dims.join(', ')}] before. Pass the first values that this adapter was trained from.`,
    );
  }
  const dims = trained.dims.map((dim, i) => (i === axis ? dim + initial.dims[i]! : dim));
  const rows = factor === 'A' ? 1 : dims[0]!;
  const [width, firstWidth] = [sizeOf(trained.dims) / rows, sizeOf(initial.dims) / rows];
  const [values, first] = [floats(trained), floats(initial)];
  const data = new Float32Array(values.length + first.length);
  for (let row = 0; row < rows; row++) {
    const at = row * (width + firstWidth);
    data.set(values.subarray(row * width, (row + 1) * width), at);
    const own = first.subarray(row * firstWidth, (row + 1) * firstWidth);
    data.set(factor === 'A' ? own : own.map((value) => -value), at + width);
  }
  return float32(data, dims);
}

function scaledAlike(
  config: AdapterConfig,
  ranks: ReadonlyMap<string, number>,
  kept: ReadonlySet<string>,
): AdapterConfig {
  const whole = { ...config, initLoraWeights: true };
  const isDouble = [...ranks].every(([module, rank]) => rank === 2 * scalingOf(config, module).r);
  if (isDouble && kept.size === 0) {
    const factor = config.useRslora ? Math.SQRT2 : 2;
    return {
      ...whole,
      r: 2 * config.r,
      loraAlpha: factor * config.loraAlpha,
      rankPattern: timesEach(config.rankPattern, 2),
      alphaPattern: timesEach(config.alphaPattern, factor),
    };
  }
  const [rankPattern, alphaPattern]: Record<string, number>[] = [{}, {}];
  for (const [module, rank] of ranks) {
    const { scaling } = scalingOf(config, module);
    rankPattern![exactly(module)] = rank;
    alphaPattern![exactly(module)] = scaling * (config.useRslora ? Math.sqrt(rank) : rank);
  }
  return {
    ...whole,
    rankPattern: { ...rankPattern, ...config.rankPattern },
    alphaPattern: { ...alphaPattern, ...config.alphaPattern },
  };
}

function timesEach(table: Readonly<Record<string, number>>, factor: number): Record<string, number> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, factor * value]));
}

/** A pattern that matches only this module. */
export function exactly(module: string): string {
  return `^${escaped(module)}`;
}
