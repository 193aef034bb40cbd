/** @file Adapters of convolutions, plain and transposed: A convolves like the base into r channels; B mixes them. */

import type { Attributes } from '../../graph/attributes.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { intsAttribute } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { attributeOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { type LayerKind, plainFactors } from './kind.ts';
import { twoVariants } from './linear.ts';

/** A `[r, in, ...kernel]` is ungrouped and reads all channels; B `[out, r / groups, 1, ...]` has the base's groups. */
export const conv: LayerKind = {
  names: { lora_A: 'lora_A', lora_B: 'lora_B' },
  // A convolution has one kernel for all rows of a batch.
  perRow: false,
  // With zero channels, ONNX Runtime leaves a convolution's output uninitialised.
  leastRank: groupsOf,
  matrix: (site) => ({
    out: site.weightShape[0]!,
    width: sizeOf(site.weightShape.slice(1)) * groupsOf(site),
    layout: 'out-in',
    groups: groupsOf(site),
  }),
  ...plainFactors((site, factor, r) => {
    const [out, channels, ...kernel] = site.weightShape as [number, number, ...number[]];
    const groups = groupsOf(site);
    return factor === 'lora_A' ? [r, channels * groups, ...kernel] : [out, r / groups, ...kernel.map(() => 1)];
  }),
  perOutputShape: channelwise,
  refuses: (site, adapter) => {
    const groups = groupsOf(site);
    if (adapter.r % groups !== 0)
      return `has ${groups} groups, and its rank must be a multiple of that, but it is ${adapter.r}`;
    if (adapter.dora && groups > 1) return `has ${groups} groups, and DoRA is defined for one group only`;
    return twoVariants(adapter);
  },
  product: (g, site, x, A, B) => {
    const reduced = g.emit('Conv', [x, A], windows(site));
    return g.emit('Conv', [reduced, B], { kernel_shape: onesLike(site), group: groupsOf(site) });
  },
  whole: (g, site, x, weight) => g.emit('Conv', [x, weight], { ...windows(site), group: groupsOf(site) }),
  adaptedNorm: (g, site, weight, A, B) => {
    const { out, width } = conv.matrix(site);
    const delta = g.MatMul(g.Reshape(B, [out, -1]), g.Reshape(A, [-1, width]));
    const rows = g.Add(g.Reshape(weight, [out, width]), delta);
    return asChannels(g, site, g.Sqrt(g.ReduceSumSquare(rows, [1], false)));
  },
  outputBias: asChannels,
};

function groupsOf({ node }: Site): number {
  return attributeOf(node, 'group');
}

/** The layer's attributes for sliding its kernel. */
function windows({ node, weightShape }: Site): Attributes {
  const auto = attributeOf(node, 'auto_pad');
  return {
    kernel_shape: weightShape.slice(2),
    strides: intsAttribute(node, 'strides'),
    dilations: intsAttribute(node, 'dilations'),
    pads: intsAttribute(node, 'pads'),
    auto_pad: auto === 'NOTSET' ? undefined : auto,
  };
}

/** `[1, out, 1, ...]` */
function channelwise(site: Site): number[] {
  return [1, site.weightShape[0]!, ...onesLike(site)];
}

function onesLike({ weightShape }: Site): number[] {
  return weightShape.slice(2).map(() => 1);
}

/** `[out]` → `[1, out, 1, ...]`. */
function asChannels(g: GraphBuilder, site: Site, value: Value): Value {
  return g.Reshape(value, channelwise(site));
}

/** The weight is `[in, out / groups, ...kernel]`, the factors those of a convolution; PEFT has none for this layer. */
export const convTranspose: LayerKind = {
  ...conv,
  matrix: (site) => {
    const groups = attributeOf(site.node, 'group');
    const [inputs, outputs, ...kernel] = site.weightShape as [number, number, ...number[]];
    return { out: outputs * groups, width: inputs * sizeOf(kernel), layout: 'out-in', groups };
  },
  ...plainFactors((site, factor, r) => {
    const { out, groups } = convTranspose.matrix(site);
    const [inputs, , ...kernel] = site.weightShape as [number, number, ...number[]];
    return factor === 'lora_A' ? [r, inputs, ...kernel] : [out, r / groups, ...kernel.map(() => 1)];
  }),
  perOutputShape: (site) => [1, convTranspose.matrix(site).out, ...site.weightShape.slice(2).map(() => 1)],
  refuses: (site, adapter) => {
    if (adapter.dora) return 'is a transposed convolution, for which there is no DoRA';
    const { groups } = convTranspose.matrix(site);
    if (adapter.r % groups !== 0)
      return `has ${groups} groups, and its rank must be a multiple of that, but it is ${adapter.r}`;
    return twoVariants(adapter);
  },
  product: (g, site, x, A, B) => {
    const { node, weightShape } = site;
    const auto = attributeOf(node, 'auto_pad');
    const names = ['strides', 'dilations', 'pads', 'output_padding', 'output_shape'] as const;
    // ConvTranspose takes `[in, r, ...kernel]`.
    const swapped = g.Transpose(A, [1, 0, ...weightShape.slice(2).map((_, i) => i + 2)]);
    const reduced = g.emit('ConvTranspose', [x, swapped], {
      ...Object.fromEntries(names.map((name) => [name, intsAttribute(node, name)])),
      kernel_shape: weightShape.slice(2),
      auto_pad: auto === 'NOTSET' ? undefined : auto,
    });
    const { groups } = convTranspose.matrix(site);
    return g.emit('Conv', [reduced, B], { kernel_shape: weightShape.slice(2).map(() => 1), group: groups });
  },
  adaptedNorm: () => {
    throw new Error('A transposed convolution has no DoRA.');
  },
  outputBias: (g, site, bias) => g.Reshape(bias, convTranspose.perOutputShape(site)),
  addDelta: (site, weight, { A, B, r, scaling }) => {
    const { out, groups } = convTranspose.matrix(site);
    const [inputs, own, ...kernel] = site.weightShape as [number, number, ...number[]];
    const [positions, ranks] = [sizeOf(kernel), r / groups];
    const result = weight.slice();
    for (let o = 0; o < out; o++) {
      const group = Math.floor(o / own);
      // Each output of a grouped weight only has inputs of its own group.
      for (let i = (group * inputs) / groups; i < ((group + 1) * inputs) / groups; i++)
        for (let k = 0; k < ranks; k++) {
          const b = scaling * B[o * ranks + k]!;
          const [from, to] = [((group * ranks + k) * inputs + i) * positions, (i * own + (o % own)) * positions];
          for (let at = 0; at < positions; at++) result[to + at]! += b * A[from + at]!;
        }
    }
    return result;
  },
};
