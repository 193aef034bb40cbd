/** @file Shape inference of convolutions and pooling, also of com.microsoft.nchwc with blocked channels. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute, intsAttribute } from '../../graph/walk.ts';
import { add, divideExactly, multiply, product, subtract, symbol } from '../dim.ts';
import { attributeOf } from '../schema.ts';
import { firstType, type InferenceSite, input, type Rule, shaped, unknownDim } from './site.ts';

function windowed(
  size: Dim,
  kernel: number,
  stride: number,
  dilation: number,
  before: number,
  after: number,
  ceil: boolean,
): Dim {
  const reach = dilation * (kernel - 1) + 1;
  if (typeof size !== 'number')
    return symbol(`win(${size},${kernel},${stride},${dilation},${before + after}${ceil ? ',ceil' : ''})`);
  const steps = (size + before + after - reach) / stride;
  const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
  // A last window in padding alone is dropped.
  return ceil && (count - 1) * stride >= size + before ? count - 1 : count;
}

/** Window attributes. */
export interface GivenWindow {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** All begins, then all ends; ignored if `auto` is SAME. */
  readonly pads: readonly number[];
  readonly auto: string;
}

/** Window attributes of a convolution or pooling over `n` axes. */
export function givenWindow(node: NodeProto, n: number): GivenWindow {
  const auto = attributeOf(node, 'auto_pad');
  const zeros = new Array<number>(2 * n).fill(0);
  return {
    strides: intsAttribute(node, 'strides') ?? new Array<number>(n).fill(1),
    dilations: intsAttribute(node, 'dilations') ?? new Array<number>(n).fill(1),
    pads: auto === 'VALID' ? zeros : (intsAttribute(node, 'pads') ?? zeros),
    auto,
  };
}

function spatial(site: InferenceSite, kernel: readonly Dim[]): ((size: Dim, i: number) => Dim) | undefined {
  const n = kernel.length;
  if (n > 16 || !kernel.every((k) => typeof k === 'number')) return undefined;
  const { strides, dilations, pads, auto } = givenWindow(site.node, n);
  const ceil = intAttribute(site.node, 'ceil_mode', 0) === 1;
  return (size, i) => {
    if (auto.startsWith('SAME'))
      return typeof size === 'number' ? Math.ceil(size / strides[i]!) : symbol(`same(${size},${strides[i]})`);
    return windowed(size, kernel[i] as number, strides[i]!, dilations[i]!, pads[i]!, pads[i + n]!, ceil);
  };
}

/** A convolution of input 0 with the weight at input `weight`, of element type `type`. */
export const conv =
  (type: (site: InferenceSite) => ValueType['type'], weight = 1): Rule =>
  (site) => {
    const [{ shape }, kernel] = [input(site), input(site, weight).shape];
    const window = kernel && spatial(site, kernel.slice(2));
    if (!shape || !kernel || !window) return [{ type: type(site) }];
    return [{ type: type(site), shape: [shape[0]!, kernel[0]!, ...shape.slice(2).map(window)] }];
  };

const convTranspose = shaped((shape, site) => {
  const weight = input(site, 1).shape;
  if (!weight || shape.length > 16) return undefined;
  const n = Math.max(0, shape.length - 2);
  const { strides, dilations, pads, auto } = givenWindow(site.node, n);
  const extra = intsAttribute(site.node, 'output_padding') ?? new Array<number>(n).fill(0);
  const given = intsAttribute(site.node, 'output_shape');
  const sizes = shape.slice(2).map((size, i): Dim => {
    const kernel = weight[i + 2]!;
    if (given) return given.at(i - n)!;
    if (auto.startsWith('SAME')) return multiply(size, strides[i]!);
    if (typeof kernel !== 'number') return unknownDim(site, i + 2);
    const reach = extra[i]! + (kernel - 1) * dilations[i]! + 1 - pads[i]! - pads[i + n]! - strides[i]!;
    return shifted(multiply(size, strides[i]!), reach);
  });
  return [shape[0]!, multiply(weight[1]!, attributeOf(site.node, 'group')), ...sizes];
});

function shifted(size: Dim, by: number): Dim {
  return by < 0 ? subtract(size, -by) : add(size, by);
}

/** Pooling; MaxPool also has indices. */
export const pool: Rule = (site) => {
  const { type, shape } = input(site);
  const window = spatial(site, intsAttribute(site.node, 'kernel_shape') ?? []);
  if (!shape || !window) return [{ type }];
  const result = [...shape.slice(0, 2), ...shape.slice(2).map(window)];
  return [
    { type, shape: result },
    { type: 'int64', shape: result },
  ];
};

const maxUnpool: Rule = (site) => {
  const { type, shape } = input(site);
  const given = input(site, 2);
  if (given.ints || given.shape) return [{ type, shape: given.ints }];
  const kernel = intsAttribute(site.node, 'kernel_shape') ?? [];
  const { strides, pads } = givenWindow(site.node, kernel.length);
  const sizes = shape?.slice(2).map((size, i) => {
    const reach = kernel[i]! - strides[i]! - pads[i]! - pads[i + kernel.length]!;
    return shifted(multiply(size, strides[i]!), reach);
  });
  return [{ type, shape: shape && sizes && [...shape.slice(0, 2), ...sizes] }];
};

/** One element per channel. */
export const globalPool: Rule = shaped((shape) => shape.map((dim, i) => (i < 2 ? dim : 1)));

/** Assembles blocks `[batch, channels · block, positions]` to an image. */
const col2Im = shaped((shape, site) => {
  const [image, block] = [input(site, 1).ints, input(site, 2).ints];
  const channels = block && divideExactly(shape[1]!, product(block));
  return image && channels !== undefined ? [shape[0]!, channels, ...image] : undefined;
});

/** Applies a rule to images with channels last. */
export function channelsLast(rule: Rule): Rule {
  return (site) => {
    const [image, ...rest] = site.inputs;
    const { type, shape } = image ?? {};
    if (!shape || shape.length < 3) return rule({ ...site, inputs: [{ type }, ...rest] });
    const first = { type, shape: [shape[0]!, shape.at(-1)!, ...shape.slice(1, -1)] };
    return rule({ ...site, inputs: [first, ...rest] }).map(({ type: result, shape: y }) => ({
      type: result,
      shape: y && [y[0]!, ...y.slice(2), y[1]!],
    }));
  };
}

export const windowRules: Readonly<Record<string, Rule>> = {
  Conv: conv(firstType),
  DeformConv: conv(firstType),
  ConvInteger: conv(() => 'int32'),
  FusedConv: conv(firstType),
  NhwcConv: channelsLast(conv(firstType)),
  NhwcFusedConv: channelsLast(conv(firstType)),
  ConvTranspose: convTranspose,
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  NhwcMaxPool: channelsLast(pool),
  MaxUnpool: maxUnpool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  Col2Im: col2Im,
};

/** Domain in files saved with all optimizations. */
export const NCHWC = 'com.microsoft.nchwc';

/** Into blocks, the last one padded. */
const reorderInput = shaped((shape, site) => {
  const sizes = isChannelsLast(site) ? shape.slice(1, -1) : shape.slice(2);
  return [shape[0]!, unknownDim(site, 1), ...sizes];
});

/** Out of blocks, to the actual channels. */
const reorderOutput = shaped((shape, site) => {
  const channels = intAttribute(site.node, 'channels', 0);
  const [batch, , ...sizes] = shape;
  return isChannelsLast(site) ? [batch!, ...sizes, channels] : [batch!, channels, ...sizes];
});

function isChannelsLast({ node }: InferenceSite): boolean {
  return attributeOf(node, 'channels_last') === 1;
}

/** Rules by operator; weights have padded channels too. */
export const blockedRules: Readonly<Record<string, Rule>> = {
  Conv: conv(firstType),
  MaxPool: pool,
  AveragePool: pool,
  GlobalMaxPool: globalPool,
  GlobalAveragePool: globalPool,
  ReorderInput: reorderInput,
  ReorderOutput: reorderOutput,
};
