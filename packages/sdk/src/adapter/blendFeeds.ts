/** @file What an injected graph is fed for several adapters at once, each with a weight. */

import { OnnxLoraError } from '../errors.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterInput, TunedSite } from '../lora/plan.ts';
import { float32, sizeOf, type Tensor } from '../runtime/tensor.ts';
import { type FullyTrained, requireOneOwner } from './combine/kept.ts';
import type { AdapterFeeds } from './feeds.ts';

/** An adapter's part of a blend. */
export interface BlendPart {
  /** What the adapter changes; inputs that it leaves alone are absent. */
  readonly feeds: AdapterFeeds;
  readonly weight: number;
  /** What the session calls the adapter. */
  readonly name: string;
}

/**
 * The feeds that make W + Σ wᵢ·(Wᵢ − W), where Wᵢ is the weight under the i-th adapter: W + Σ wᵢ·sᵢ·Bᵢ·Aᵢ for LoRA. The
 * ranks add up: A is all Aᵢ side by side, B all wᵢ·Bᵢ one below the other. What DoRA multiplies by, biases and parameters
 * trained in full are moved from the base's by the weighted sum of their changes; those that one of the adapters alone brings
 * and the base does not have, and those in which several agree, are taken as they are.
 *
 * @param base the base's feeds, one per input
 * @throws OnnxLoraError `INPUT_INVALID` for heads of other sizes than the base's, for adapters that have trained the same head
 *   to different values, and for adapters of other tuners than LoRA
 */
export function blendFeeds(
  parts: readonly BlendPart[],
  inputs: readonly AdapterInput[],
  base: AdapterFeeds,
): AdapterFeeds {
  const blended = new Map<string, Tensor>();
  const whole = requireHeads(parts, inputs);
  for (const input of inputs) {
    const own = parts.flatMap(({ feeds, weight }) => {
      const tensor = feeds.get(input.name);
      return tensor ? [{ tensor, weight }] : [];
    });
    if (own.length === 0) continue;
    if (input.tuned) throw cannotBlend(input.tuned.of);
    const head = whole.get(input.name);
    const isFactor = input.role === 'lora_A' || input.role === 'lora_B';
    blended.set(input.name, isFactor ? joinedRanks(own, input) : (head ?? moved(base.get(input.name)!, own, input)));
  }
  return blended;
}

/** What is taken as it is, by the names of inputs. */
function requireHeads(parts: readonly BlendPart[], inputs: readonly AdapterInput[]): Map<string, Tensor> {
  const trained = inputs.flatMap(({ name, parameter }) => (parameter ? [{ name, parameter }] : []));
  const sources = parts.map(({ feeds, weight, name: called }): FullyTrained => {
    const parameters = trained.flatMap(({ name, parameter: { name: own, modulePath: module } }) => {
      const tensor = feeds.get(name);
      return tensor ? [[name, { module, parameter: own.slice(module === '' ? 0 : module.length + 1), tensor }] as const] : []; // prettier-ignore
    });
    return { name: `adapter "${called}"`, weight, modules: new Set(), parameters: new Map(parameters) };
  });
  const isNew = new Set(trained.flatMap(({ parameter }) => (parameter.isNew ? [parameter.modulePath] : [])));
  const owners = requireOneOwner(sources, ({ module }) => isNew.has(module));
  return new Map([...owners].flatMap(([name, { kept, count }]) => (count > 1 || isNew.has(kept.module) ? [[name, kept.tensor]] : []))); // prettier-ignore
}

function cannotBlend({ site, peftType }: TunedSite): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `"${site.path}" is adapted by ${peftType}, whose adapters do not add up. Name one adapter.`,
  );
}

interface Weighted {
  readonly tensor: Tensor;
  readonly weight: number;
}

function moved(base: Tensor, parts: readonly Weighted[], { parameter }: AdapterInput): Tensor {
  if (parts.some(({ tensor }) => tensor.data.length !== base.data.length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Adapters with heads "${parameter?.modulePath}" of another number of outputs than the base's cannot be blended. Name one of them.`,
    );
  }
  const from = base.data as Float32Array;
  const data = from.slice();
  for (const { tensor, weight } of parts) {
    const to = tensor.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i]! += weight * (to[i]! - from[i]!);
  }
  return float32(data, base.dims);
}

/** Factors joined along their rank; those of B times their weights. */
function joinedRanks(parts: readonly Weighted[], input: AdapterInput): Tensor {
  const factor = input.role as 'lora_A' | 'lora_B';
  const { site } = input.lowRank!;
  const kind = kindOf(site);
  const { groups } = kind.matrix(site);
  const [single, double] = [kind.graphShape(site, factor, groups), kind.graphShape(site, factor, 2 * groups)];
  const axis = single.findIndex((dim, i) => dim !== double[i]);
  // Each group of a convolution's outputs reads a run of A's channels, so the ranks of A are joined group by group.
  const blocks = single[axis]!;
  const outer = sizeOf(single.slice(0, axis)) * blocks;
  const inner = sizeOf(single.slice(axis + 1));
  const runs = parts.map(({ tensor }) => (tensor.dims[axis]! / blocks) * inner);
  const run = runs.reduce((sum, each) => sum + each, 0);
  const data = new Float32Array(outer * run);
  let offset = 0;
  parts.forEach(({ tensor, weight }, part) => {
    const source = tensor.data as Float32Array;
    const length = runs[part]!;
    const by = factor === 'lora_B' ? weight : 1;
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < length; i++) data[o * run + offset + i] = by * source[o * length + i]!;
    offset += length;
  });
  return float32(
    data,
    single.map((dim, i) => (i === axis ? (blocks * run) / inner : dim)),
  );
}
