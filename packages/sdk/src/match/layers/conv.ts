/** @file Convolution layers: Conv and ConvTranspose of one to three dimensions, and ConvInteger. */

import { attributeOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { differs } from '../mismatch.ts';
import { type LayerFinder, operands, ownBias, productLayer, type SiteKind } from './layer.ts';
import { integerProduct, integerWeight } from './linear.ts';

const kinds: Readonly<Record<number, SiteKind>> = { 3: 'conv1d', 4: 'conv2d', 5: 'conv3d' };
const transposedKinds: Readonly<Record<number, SiteKind>> = { 3: 'convTranspose1d', 4: 'convTranspose2d' };

/** Conv, and ConvTranspose with weight `[in, out / groups, ...kernel]`. */
export const conv: LayerFinder = (node, index) => {
  if (node.opType !== 'Conv' && node.opType !== 'ConvTranspose') return undefined;
  const found = operands(node, index, { input: 0, weight: 1 });
  const rank = found?.stored.dims.length ?? 0;
  const kind = (node.opType === 'Conv' ? kinds : transposedKinds)[rank];
  if (!found) return undefined;
  if (!kind) return differs(index, () => `has a kernel of ${rank - 2} dimensions`);
  const { stored } = found;
  const out = kind.startsWith('convT') ? stored.dims[1]! * attributeOf(node, 'group') : stored.dims[0]!;
  const bias = ownBias(node, index, 2, out);
  return productLayer({ kind, node, nodes: [node], ...found, layout: 'torch', bias, behind: rank - 2, out }, index);
};

/** An integer convolution with the scaling behind it. */
export const convInteger: LayerFinder = (node, index) => {
  const found = integerProduct(node, 'ConvInteger', index);
  const dims = found?.codes.tensor.dims ?? [];
  const kind = kinds[dims.length];
  if (!found || !kind) return undefined;
  const inner = sizeOf(dims.slice(1));
  const stored = integerWeight(found, (position) => Math.floor(position / inner));
  if (!stored) return undefined;
  return productLayer({ kind, node, ...found, stored, layout: 'torch', behind: dims.length - 2, out: dims[0]! }, index);
};
