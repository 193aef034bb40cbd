/** @file Convolutions: Conv and ConvTranspose of one to three dimensions, and ConvInteger. */

import { quantizedWeight } from '../weights/index.ts';
import {
  addedBias,
  beforeRounding,
  type Layer,
  type LayerFinder,
  operands,
  ownBias,
  roundingBehind,
  type SiteKind,
} from './layer.ts';
import { integerProduct, isSingle } from './linear.ts';
import { attributeOf } from '../../ops/schema.ts';

const kinds: Readonly<Record<number, SiteKind>> = { 3: 'conv1d', 4: 'conv2d', 5: 'conv3d' };
const transposedKinds: Readonly<Record<number, SiteKind>> = { 3: 'convTranspose1d', 4: 'convTranspose2d' };

/** Conv, and ConvTranspose, whose weight is `[in, out / groups, ...kernel]`. */
export const conv: LayerFinder = (node, index) => {
  if (node.opType !== 'Conv' && node.opType !== 'ConvTranspose') return undefined;
  const found = operands(node, index, { input: 0, weight: 1 });
  const rank = found?.stored.dims.length ?? 0;
  const kind = (node.opType === 'Conv' ? kinds : transposedKinds)[rank];
  if (!found || !kind) return undefined;
  const { stored } = found;
  const out = kind.startsWith('convT') ? stored.dims[1]! * attributeOf(node, 'group') : stored.dims[0]!;
  const rounding = roundingBehind(node.output![0]!, index);
  const nodes = [node, ...(rounding ?? [])];
  const product = nodes.at(-1)!.output![0]!;
  const bias = ownBias(node, index, 2, out) ?? addedBias(product, out, index, rank - 2);
  return {
    kind,
    node,
    nodes,
    input: beforeRounding(found.input, index),
    product,
    output: bias && bias.node !== node ? bias.node.output![0]! : product,
    weight: { name: stored.name, layout: 'torch', stored },
    ...(bias ? { bias } : {}),
    weightShape: stored.dims,
  } satisfies Layer;
};

/** A convolution of integers, scaled behind it. */
export const convInteger: LayerFinder = (node, index) => {
  const found = integerProduct(node, 'ConvInteger', index);
  const dims = found?.codes.tensor.dims ?? [];
  const kind = kinds[dims.length];
  if (!found || !kind) return undefined;
  const inner = dims.slice(1).reduce((size, dim) => size * dim, 1);
  const stored = quantizedWeight(found.codes.name, [], {
    codes: found.codes,
    scales: found.scales,
    ...(found.zeros ? { zeros: found.zeros } : {}),
    dims,
    groupOf: isSingle(found.scales) ? () => 0 : (position) => Math.floor(position / inner),
    support: found.support,
  });
  if (!stored) return undefined;
  const product = found.nodes.at(-1)!.output![0]!;
  const added = found.bias ? undefined : addedBias(product, dims[0]!, index, dims.length - 2);
  const bias = found.bias ?? added;
  return {
    kind,
    node,
    nodes: found.nodes,
    input: found.input,
    product,
    output: added ? added.node.output![0]! : product,
    weight: { name: stored.name, layout: 'torch', stored },
    ...(bias ? { bias } : {}),
    weightShape: dims,
  };
};
