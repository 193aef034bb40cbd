/** @file `combineAdapters`: weighted sums, TIES, DARE, pruning and slerp of adapters. */

import { OnnxLoraError } from '../../errors.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { type AdapterNotes, commonNote } from '../storage/adapterNotes.ts';
import { generationOfPaths } from '../naming/generations.ts';
import type { AdapterConfig } from '../formats/peftConfig.ts';
import { parseTensorName, tensorName } from '../formats/tensorNames.ts';
import { combinedConfig, commonDigest } from './combinedConfig.ts';
import { type Combined, combineDeltas, type DeltaSettings, type Term } from './deltas.ts';
import { fullyTrainedParameters } from './fullyTrained.ts';
import { checkOptions, type CombineMethod, type CombineOptions, type CombinePart, ruleOf } from './options.ts';
import { type MergeSettings, mergeTensors } from './prune.ts';
import { capitalised, commonShape, type LayerShape, readSources, type Source } from './sources.ts';

/**
 * Combines adapters of one base into a float32 LoRA adapter with scaling 1. Modules missing in some count as unchanged
 * there. Fully trained parameters (a head, biases) are kept if one adapter has them, or all that have them agree.
 * @example
 * const both = combineAdapters([{ adapter: cats, weight: 0.7 }, { adapter: birds, weight: 0.3 }], { method: 'linear' });
 * const without = combineAdapters([{ adapter: base }, { adapter: rude, weight: -1 }], { method: 'svd', rank: 16 });
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid options; `INPUT_INVALID` for adapters without a sum, such as DoRA;
 *   `ADAPTER_MISMATCH` for different bases, or naming of different transformers versions; `ADAPTER_INVALID` for a
 *   broken adapter
 */
export function combineAdapters(parts: readonly CombinePart[], options: CombineOptions): Adapter {
  return combineWith(parts, options, new Random(options.seed ?? 0));
}

/** Combines adapters with a given random generator. */
export function combineWith(
  parts: readonly CombinePart[],
  options: CombineOptions,
  random: Pick<Random, 'next'>,
): Adapter {
  checkOptions(parts, options);
  const sources = readSources(parts);
  requireSameNames(sources);
  const digest = commonDigest(parts, sources);
  const { config, tensors } = combineSources(sources, options, random);
  requireLoadable(config, tensors);
  return new Adapter(config, tensors, digest, commonNotes(parts));
}

/** Labels and head if all present ones agree; other notes if all agree; never values learned by a task. */
function commonNotes(parts: readonly CombinePart[]): AdapterNotes {
  const common = <K extends 'labels' | 'head'>(key: K): Pick<AdapterNotes, K> | undefined => {
    const own = parts.map(({ adapter }) => adapter.notes[key]).filter((each) => each !== undefined);
    return new Set(own.map((each) => JSON.stringify(each))).size === 1
      ? ({ [key]: own[0] } as Pick<AdapterNotes, K>)
      : undefined;
  };
  const notes = parts.map(({ adapter }) => adapter.notes);
  const [inputSizes, precision] = [commonNote(notes, 'inputSizes'), commonNote(notes, 'precision')];
  const quantizedBase = commonNote(notes, 'quantizedBase');
  return {
    ...common('labels'),
    ...common('head'),
    ...(inputSizes && { inputSizes }),
    ...(precision && { precision }),
    ...(quantizedBase && { quantizedBase }),
  };
}

function combineSources(
  sources: readonly Source[],
  options: CombineOptions,
  random: Pick<Random, 'next'>,
): { readonly config: AdapterConfig; readonly tensors: Map<string, Tensor> } {
  const peft = options.compat === 'peft' ? peftPlan(sources, options) : undefined;
  const method = peft?.method ?? options.method;
  const rule = ruleOf(method);
  const kept = fullyTrainedParameters(sources);
  const paths = [...new Set(sources.flatMap(({ modules }) => [...modules.keys()]))].sort();
  const loraBias = sources.some(({ modules }) => [...modules.values()].some(({ hasBias }) => hasBias));
  const share = sources.length === 2 ? sources[1]!.weight / (sources[0]!.weight + sources[1]!.weight) : 0;
  const tensors = new Map<string, Tensor>();
  const ranks = new Map<string, number>();
  for (const path of paths) {
    const owners = sources.flatMap((source) => {
      const part = source.modules.get(path);
      return part ? [{ source, part }] : [];
    });
    const shape = commonShape(path, owners);
    const terms = owners.map(({ source, part }): Term => ({
      factors: part.factors(),
      weight: weightOf(source, sources, method, share),
    }));
    const settings: DeltaSettings = {
      ...rule,
      method,
      rank: peft?.rank ?? options.rank ?? (method === 'slerp' ? 'full' : Math.max(...owners.map(({ part }) => part.r))),
      share,
      density: options.density ?? 1,
      majoritySign: options.majoritySign ?? 'total',
      random: () => random.next(),
    };
    const combined =
      peft && rule.onFactors ? combineFactors(path, terms, settings) : combineDeltas(shape, terms, settings);
    ranks.set(path, combined.A.rows);
    for (const [name, tensor] of tensorsOf(path, shape, combined, loraBias)) tensors.set(name, tensor);
  }
  for (const [name, tensor] of kept) tensors.set(name, tensor);
  const config = combinedConfig({ sources, ranks, loraBias, rsloraRank: peft?.rsloraRank });
  return { config, tensors };
}

/** slerp's weights are positions on the arc. */
function weightOf(source: Source, sources: readonly Source[], method: CombineMethod, share: number): number {
  if (method !== 'slerp') return source.weight;
  return source === sources[0] ? 1 - share : share;
}

interface PeftPlan {
  readonly method: CombineMethod;
  readonly rank: number | 'full';
  /** The rank whose root scales the result if PEFT copies rsLoRA from the first config. */
  readonly rsloraRank: number | undefined;
}

function peftPlan(sources: readonly Source[], { method: asked, rank }: CombineOptions): PeftPlan {
  const wrong = sources.find(({ modules }) =>
    [...modules.values()].some(({ hasBias, shape }) => hasBias || shape.groups > 1),
  );
  if (wrong) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `PEFT combines neither a bias of lora_B nor grouped convolutions, and ${wrong.name} has one of them. Leave compat out.`,
    );
  }
  const ranks = sources.map(({ config: { r, rankPattern } }) => Math.max(r, ...Object.values(rankPattern)));
  // A single adapter is always just scaled.
  const method = sources.length === 1 ? 'linear' : asked;
  if (ruleOf(method).onFactors && ranks.some((r) => r !== ranks[0])) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `PEFT's "${method}" refuses adapters of different ranks (${ranks.join(', ')}). Leave compat out, or choose "cat" or a method with "_svd".`,
    );
  }
  const largest = Math.max(...ranks);
  const ofMethod =
    method === 'cat' ? ranks.reduce((sum, r) => sum + r, 0) : ruleOf(method).onFactors ? largest : (rank ?? largest);
  return {
    method,
    rank: ofMethod,
    rsloraRank: sources[0]!.config.useRslora && ofMethod !== 'full' ? ofMethod : undefined,
  };
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` if adapters use naming of different transformers versions */
function requireSameNames(sources: readonly Source[]): void {
  const named = sources.map(({ name, modules }) => {
    const paths = [...modules.keys()];
    return { name, paths, generation: generationOfPaths(paths) };
  });
  const [old, recent] = [4, 5].map((version) => named.find(({ generation }) => generation === version));
  if (!old || !recent || old.paths.some((path) => recent.paths.includes(path))) return;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${capitalised(old.name)} names its modules as transformers 4 does ("${old.paths[0]}"), and ${recent.name} as transformers 5 ("${recent.paths[0]}"), so that their changes would not meet. Give both the same names first: inNaming(adapter, 5, model), or onnx-lora convert with --names 5.`,
  );
}

/** @throws OnnxLoraError `INPUT_INVALID` if PEFT could not load it */
function requireLoadable({ loraBias }: AdapterConfig, tensors: ReadonlyMap<string, Tensor>): void {
  const embedding = [...tensors.keys()].map(parseTensorName).find(({ role }) => role === 'lora_embedding_A');
  if (!loraBias || !embedding) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `One of the adapters has biases of lora_B, and "${embedding.module}" is an embedding, which PEFT cannot load with them. Combine adapters without lora_bias, or without the embedding.`,
  );
}

function tensorsOf(path: string, shape: LayerShape, { A, B, bias }: Combined, loraBias: boolean): [string, Tensor][] {
  const { isEmbedding, inner, ones, out } = shape;
  const values = (data: Float64Array): Float32Array => {
    const rounded = Float32Array.from(data);
    if (rounded.every(Number.isFinite)) return rounded;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The combined adapter of "${path}" has values beyond what float32 can hold. Choose smaller weights.`,
    );
  };
  return [
    [tensorName(path, isEmbedding ? 'lora_embedding_A' : 'lora_A'), float32(values(A.data), [A.rows, ...inner])],
    [tensorName(path, isEmbedding ? 'lora_embedding_B' : 'lora_B'), float32(values(B.data), [out, B.columns, ...ones])],
    ...(loraBias && !isEmbedding
      ? [[tensorName(path, 'lora_B.bias'), float32(values(bias ?? new Float64Array(out)), [out])] as [string, Tensor]]
      : []),
  ];
}

/**
 * Combines A and B separately, each with the root of weight · scaling; A takes the sign. Cross terms of the product
 * make it differ from a weighted sum of deltas.
 * @param path the module's name for errors
 * @see PEFT 0.21, `LoraModel._generalized_task_arithmetic_weighted_adapter`
 * @throws OnnxLoraError `INPUT_INVALID` if ranks differ in this module
 */
function combineFactors(path: string, terms: readonly Term[], settings: MergeSettings): Combined {
  const [first] = terms as [Term, ...Term[]];
  const ranks = terms.map(({ factors }) => factors.A.rows);
  if (ranks.some((r) => r !== ranks[0])) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapters have ranks ${ranks.join(' and ')} in module "${path}", and PEFT adds up only equal ones. Leave compat out, or choose "cat" or "svd".`,
    );
  }
  const weights = terms.map(({ factors, weight }) => weight * factors.scaling);
  const merge = (factor: 'A' | 'B', each: readonly number[]): Float64Array =>
    mergeTensors(
      // Pruning overwrites its input.
      terms.map(({ factors }) => factors[factor].data.slice()),
      each,
      settings,
    );
  const A = merge(
    'A',
    weights.map((weight) => Math.sign(weight) * Math.sqrt(Math.abs(weight))),
  );
  const B = merge(
    'B',
    weights.map((weight) => Math.sqrt(Math.abs(weight))),
  );
  return { A: { ...first.factors.A, data: A }, B: { ...first.factors.B, data: B } };
}
