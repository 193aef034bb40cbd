/** @file `convertToLora`: converts adapters of other tuners to LoRA, exactly or by low-rank approximation. */

import { Adapter } from '../../adapter/adapter.ts';
import { approximated, type Product } from '../../adapter/combine/lowRank.ts';
import { adapterConfig, LORA } from '../../adapter/formats/peftConfig.ts';
import { variantOf } from '../../adapter/formats/peftVariants.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { exactly } from '../../adapter/storage/convertResidual.ts';
import { OnnxLoraError } from '../../errors.ts';
import { floats } from '../../graph/tensorData.ts';
import { knownOptions } from '../../knownOptions.ts';
import { matmul, type Matrix, matrix, transpose } from '../../linalg/matrix.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { ModuleAdapter, SavedTensors } from '../../lora/methods/moduleAdapter.ts';
import type { Site } from '../../match/sites.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { modelForAdapter } from '../head/forAdapter.ts';
import type { Model } from '../loaded/model.ts';

/** Options of {@link convertToLora}. */
export interface ConvertToLoraOptions {
  /** Rank of approximations; 8 by default. */
  readonly r?: number;
  /** Accepts an adapter of another base. */
  readonly allowBaseMismatch?: boolean;
}

const requireKnown = knownOptions<ConvertToLoraOptions>('convertToLora', { r: true, allowBaseMismatch: true });

/** Result of {@link convertToLora}. */
export interface ConvertedToLora {
  /** The LoRA adapter. Its alpha equals its rank, so the weight changes by B·A. */
  readonly adapter: Adapter;
  /** Relative error per module: ‖change − B·A‖ ÷ ‖change‖; 0 for exact conversions. */
  readonly errors: ReadonlyMap<string, number>;
}

/**
 * Converts an adapter of a plugin's tuner to LoRA, for programs that support nothing else. Exact if the tuner has
 * `toLora`; otherwise the best approximation of given rank, by truncated SVD, with the remainder in `errors`.
 * @example
 * const { adapter, errors } = await convertToLora(await loadAdapter('loha'), model, { r: 16 });
 * console.log(Math.max(...errors.values()));
 * @throws OnnxLoraError `INPUT_INVALID` for an adapter that is LoRA already; `CONFIG_INVALID` for a rank below 1 or an
 *   unknown option; `MODEL_UNSUPPORTED` if no weight can hold the change, or biases change; `ADAPTER_MISMATCH` for
 *   another base
 */
export async function convertToLora(
  adapter: Adapter,
  model: Model,
  options: ConvertToLoraOptions = {},
): Promise<ConvertedToLora> {
  requireKnown(options);
  const { r = 8, allowBaseMismatch = false } = options;
  if (adapter.config.peftType === LORA && variantOf(adapter.config) === undefined)
    throw new OnnxLoraError('INPUT_INVALID', 'The adapter is LoRA already. Use it as it is.');
  if (!Number.isInteger(r) || r < 1)
    throw new OnnxLoraError('CONFIG_INVALID', `The rank r must be a whole number of at least 1, but it is ${r}.`);
  const {
    adapter: named,
    tunings,
    unused,
  } = await modelForAdapter(model, adapter).place(adapter, { allowBaseMismatch });
  const tensors = new Map<string, Tensor>(unused.map((name) => [name, named.tensors.get(name)!]));
  const [ranks, errors] = [new Map<string, number>(), new Map<string, number>()];
  for (const { tuning, saved, names } of tunings) {
    const { site, path } = tuning;
    if (!tuning.change || !site) {
      for (const name of names) tensors.set(name, named.tensors.get(name)!);
      continue;
    }
    const { product, error } = factorsOf(tuning, site, saved, r);
    const kind = kindOf(site);
    ranks.set(path, product.A.rows);
    errors.set(path, error);
    for (const [factor, { data }] of [['lora_A', product.A], ['lora_B', product.B]] as const)
      tensors.set(tensorName(path, kind.names[factor]), float32(Float32Array.from(data), kind.factorShape(site, factor, product.A.rows))); // prettier-ignore
  }
  if (ranks.size === 0)
    throw new OnnxLoraError('INPUT_INVALID', `The adapter is of the type ${adapter.config.peftType}, which changes no layer as LoRA can. Use it as it is, or merge it.`); // prettier-ignore
  const rankPattern = Object.fromEntries(
    [...ranks].flatMap(([path, own]) => (own === r ? [] : [[exactly(path), own]])),
  );
  const { modulesToSave, taskType, baseModelNameOrPath } = named.config;
  const config = adapterConfig({
    r,
    loraAlpha: r,
    targetModules: [...ranks.keys()],
    rankPattern,
    alphaPattern: rankPattern,
    modulesToSave,
    taskType,
    baseModelNameOrPath,
  });
  return { adapter: new Adapter(config, tensors, named.baseDigest, named.notes), errors };
}

/** Drops ranks without effect, but keeps one. */
function withoutIdle({ A, B }: Product): Product {
  const [r, width] = [A.rows, A.columns];
  const acts = (k: number): boolean =>
    A.data.subarray(k * width, (k + 1) * width).some((value) => value !== 0) &&
    B.data.some((value, i) => i % r === k && value !== 0);
  const kept = Array.from({ length: r }, (_, k) => k).filter(acts);
  if (kept.length === r) return { A, B };
  const all = kept.length > 0 ? kept : [0];
  return {
    A: matrix(all.length, width, Float64Array.from({ length: all.length * width }, (_, i) => A.data[all[Math.floor(i / width)]! * width + (i % width)]!)), // prettier-ignore
    B: matrix(B.rows, all.length, Float64Array.from({ length: B.rows * all.length }, (_, i) => B.data[Math.floor(i / all.length) * r + all[i % all.length]!]!)), // prettier-ignore
  };
}

/** Factors B `[out, r]` and A `[r, width]`, and their relative error. */
function factorsOf(
  tuning: ModuleAdapter,
  site: Site,
  saved: SavedTensors,
  r: number,
): { product: Product; error: number } {
  const { groups } = kindOf(site).matrix(site);
  const exact = groups === 1 ? tuning.toLora?.(saved) : undefined;
  const asMatrix = (tensor: Tensor): Matrix => matrix(tensor.dims[0]!, tensor.data.length / tensor.dims[0]!, floats(tensor)); // prettier-ignore
  if (exact) return { product: withoutIdle({ A: asMatrix(exact.A), B: asMatrix(exact.B) }), error: 0 };
  const { weight, changesBias } = tuning.change!(saved);
  const problem = changesBias ? 'changes its bias, which a product of LoRA cannot' : groups > 1 ? 'is of a convolution with groups' : undefined; // prettier-ignore
  if (problem !== undefined) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter of "${site.path}" cannot become LoRA: it ${problem}. Use it as it is, or merge it.`,
    );
  }
  const [rows] = site.weightShape as [number];
  const dense = matrix(rows, weight.length / rows, weight);
  // LoRA stores an embedding's change transposed: a row per feature.
  const wanted = site.kind === 'embedding' ? transpose(dense) : dense;
  const product = approximated(wanted, Math.min(r, wanted.rows, wanted.columns), r);
  const near = matmul(product.B, product.A);
  const [left, all] = [0, 1].map((part) =>
    Math.sqrt(wanted.data.reduce((sum, value, i) => sum + (value - (part === 0 ? near.data[i]! : 0)) ** 2, 0)),
  ) as [number, number];
  return { product, error: all === 0 ? 0 : left / all };
}
