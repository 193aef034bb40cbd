/** @file Tensors of a low-rank adapter: factors, and one number per output. */

import { adaptedNorm } from '../../adapter/merging/delta.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { floats } from '../../graph/tensorData.ts';
import type { Site } from '../../match/sites.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { type Factor, firstValues, graphFactor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import type { FirstValues, LowRankSite } from './loraSite.ts';
import { type InLayout, interpolated, type AdapterTensor, type Weighted } from './moduleAdapter.ts';

/** Tensors with one number per output; `lora_gain` replaces the magnitude in a graph for inference. */
export type OutputRole = 'lora_B.bias' | 'lora_magnitude_vector' | 'lora_gain';

interface Owner {
  readonly product: LowRankSite;
  readonly scaling: number;
  readonly start: FirstValues | undefined;
}

/** A factor. PEFT initialises A uniform in ±1/√in and B zero; for embeddings A zero and B normal. */
export function factorTensor({ product, scaling, start }: Owner, role: Factor): AdapterTensor {
  const { site, r, savedAs = site.path, tiedTo } = product;
  const kind = kindOf(site);
  const inGraph = (values: Float32Array, rank: number): InLayout =>
    laidOut(graphFactor(kind, site, role, values, rank));
  const rankAxis = rankAxisOf(site, role);
  return {
    role,
    name: nameOf(site, role),
    savedAs: tensorName(savedAs, kind.names[role]),
    scale: role === 'lora_B' ? scaling : 1,
    count: tiedTo ? 0 : sizeOf(kind.factorShape(site, role, r ?? 0)),
    rankAxis,
    ...(tiedTo ? { twin: { slot: tiedTo.site.path, role: role === 'lora_A' ? 'lora_B' : 'lora_A' } } : {}),
    first: (random) =>
      inGraph(start?.[role] ?? firstValues(kind, site, role, sizeOf(kind.factorShape(site, role, r!)), random), r!),
    fromSaved: (saved) => inGraph(floats(saved.get(role)!), kind.rankOf(site, saved.get('lora_A')!.dims)),
    toSaved: ({ value }) => float32(kind.fromGraph(site, role, value, r!), kind.factorShape(site, role, r!)),
    idle: (rank) => zeros(kind.graphShape(site, role, Math.max(rank, kind.leastRank(site)))),
    blend: (parts) => joinedRanks(parts, site, role, rankAxis),
  };
}

/** B's bias, DoRA's magnitude, or its gain. The magnitude is initialised with the weight's norm. */
export function outputTensor({ product, scaling, start }: Owner, role: OutputRole): AdapterTensor {
  const { site, r, savedAs = site.path } = product;
  const kind = kindOf(site);
  const dims = kind.perOutputShape(site);
  const isBias = role === 'lora_B.bias';
  const file = isBias ? role : 'lora_magnitude_vector';
  const none = new Float32Array(0);
  return {
    role,
    name: nameOf(site, role),
    savedAs: tensorName(savedAs, file),
    scale: isBias ? scaling : 1,
    count: sizeOf(dims),
    first: () => {
      if (isBias) return { value: new Float32Array(kind.matrix(site).out), dims };
      const factors =
        start && !start.isResidual
          ? { A: start.lora_A, B: start.lora_B, r: r!, scaling }
          : { A: none, B: none, r: 0, scaling: 1 };
      return { value: adaptedNorm(site, factors), dims };
    },
    fromSaved: (saved) => {
      const own = saved.get(file)!;
      return { value: floats(own).slice(), dims: isBias ? dims : own.dims };
    },
    toSaved: ({ value, dims: own }) => float32(value.slice(), isBias ? [value.length] : own),
    idle: () => float32(new Float32Array(sizeOf(dims)).fill(role === 'lora_gain' ? 1 : 0), dims),
    blend: interpolated,
  };
}

/** The rank's axis in a factor of the graph's layout. */
export function rankAxisOf(site: Site, role: Factor): number {
  const { groups } = kindOf(site).matrix(site);
  const [dims, doubled] = [1, 2].map((times) => kindOf(site).graphShape(site, role, times * groups)) as [number[], number[]]; // prettier-ignore
  return dims.findIndex((dim, axis) => dim !== doubled[axis]);
}

/** The name of the graph input of a module's tensor. */
function nameOf(site: Site, role: Factor | OutputRole): string {
  if (role !== 'lora_A' && role !== 'lora_B') return `${site.path}.${role}`;
  const name = kindOf(site).names[role];
  return name === role ? `${site.path}.${name}.weight` : `${site.path}.${name}`;
}

function zeros(dims: readonly number[]): Tensor {
  return float32(new Float32Array(sizeOf(dims)), dims);
}

function laidOut({ data, dims }: Tensor): InLayout {
  return { value: data as Float32Array, dims };
}

/** Factors concatenated along their rank; those of B times their weights. */
function joinedRanks(parts: readonly Weighted[], site: Site, factor: Factor, axis: number): Tensor {
  const kind = kindOf(site);
  const single = kind.graphShape(site, factor, kind.matrix(site).groups);
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
