/** @file Fused matrix products and convolutions. */

import type { Value } from '../../graph/builder.ts';
import { activate, geluTanh } from './activation.ts';
import { type ExpansionSite, rankOf, type Rule, staticShape } from './site.ts';
import type { Attributes } from '../../graph/attributes.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { attributeOf } from '../schema.ts';

/** `alpha · op(A) · op(B)`, of unknown rank only without transposes; FusedMatMulActivation has an activation. */
export const fusedMatMul: Rule = (site) => {
  const [a, b] = site.inputs;
  if (!a || !b || site.has('activation_axis')) return undefined;
  const product = timesTurnedWeight(site, a, b) ?? batchedProduct(site, a, b);
  const alpha = site.of('alpha');
  if (!product) return undefined;
  const scaled = alpha === 1 ? product : site.g.Mul(product, site.scalar(alpha));
  return activate(site, site.of('activation'), scaled, activationParameters(site));
};

/** `A · Wᵀ` as a Gemm over the rows of A, which keeps the weight a plain input; undefined for other forms. */
function timesTurnedWeight(site: ExpansionSite, a: Value, weight: Value): Value | undefined {
  const { g } = site;
  const [columns, width] = staticShape(weight) ?? [];
  const plain = site.of('transA') === 0 && site.of('transBatchA') === 0 && site.of('transB') === 1;
  const rank = rankOf(a) ?? 0;
  if (!plain || !site.constant(weight) || rankOf(weight) !== 2 || rank < 2 || columns === undefined) return undefined;
  const rows = rank === 2 ? a : g.Reshape(a, [-1, width!]);
  const product = site.layer(g.Gemm(rows, weight, undefined, { transB: true }));
  if (rank === 2) return product;
  return g.Reshape(product, g.Concat([g.Slice(g.Shape(a), [0], [-1], [0]), g.ints([columns])], 0));
}

function batchedProduct(site: ExpansionSite, a: Value, b: Value): Value | undefined {
  const left = transposed(site, a, 'A');
  const right = transposed(site, b, 'B');
  return left && right && site.layer(site.g.MatMul(left, right));
}

/** Moves the first axis behind the batch axes (transBatch), then swaps the last two (trans). */
function transposed(site: ExpansionSite, x: Value, which: 'A' | 'B'): Value | undefined {
  const trans = site.int(`trans${which}`, 0) === 1;
  const transBatch = site.int(`transBatch${which}`, 0) === 1;
  if (!trans && !transBatch) return x;
  const rank = rankOf(x);
  if (rank === undefined) return undefined;
  if (rank < 2) return x;
  const axes = Array.from({ length: rank }, (_, i) => i);
  const perm = transBatch ? [...axes.slice(1, -1), 0, rank - 1] : axes;
  if (trans) perm.push(...perm.splice(-2).reverse());
  return site.g.Transpose(x, perm);
}

/** `activation(alpha · op(A) · op(B) + beta · C)`. */
export const fusedGemm: Rule = (site) => {
  const [a, b, c] = site.inputs;
  if (!a || !b) return undefined;
  const product = site.g.Gemm(a, b, c, {
    transA: site.of('transA') === 1,
    transB: site.of('transB') === 1,
    ...(site.has('alpha') ? { alpha: site.of('alpha') } : {}),
    ...(site.has('beta') ? { beta: site.of('beta') } : {}),
  });
  return activate(site, site.of('activation'), site.layer(product), activationParameters(site));
};

/** Gemm with attributes that no linear layer has: a transposed input, a scaled product or bias. */
export function isScaledGemm(node: NodeProto): boolean {
  return attributeOf(node, 'transA') === 1 || attributeOf(node, 'alpha') !== 1 || attributeOf(node, 'beta') !== 1;
}

/** `alpha · op(A) · op(B) + beta · C` as a linear layer of `op(A)`, scaled behind. */
export const scaledGemm: Rule = (site) => {
  const { g } = site;
  const [a, b, c] = site.inputs;
  if (!a || !b) return undefined;
  const x = site.of('transA') === 1 ? g.Transpose(a, [1, 0]) : a;
  const transB = site.of('transB') === 1;
  const [alpha, beta] = [site.of('alpha'), site.of('beta')];
  if (alpha === 1 && beta === 1) return site.layer(g.Gemm(x, b, c, { transB }));
  const product = site.layer(g.Gemm(x, b, undefined, { transB }));
  const scaled = alpha === 1 ? product : g.Mul(product, site.scalar(alpha));
  return c ? g.Add(scaled, beta === 1 ? c : g.Mul(c, site.scalar(beta))) : scaled;
};

/** Tanh approximation of Gelu of `X·W + bias`, the bias optional. */
export const gemmFastGelu: Rule = (site) => {
  const [x, weight, bias] = site.inputs;
  if (!x || !weight) return undefined;
  const product = site.layer(site.g.MatMul(x, weight));
  return geluTanh(site, bias ? site.g.Add(product, bias) : product);
};

function activationParameters(site: ExpansionSite): Record<'alpha' | 'beta' | 'gamma', number | undefined> {
  return {
    alpha: site.float('activation_alpha', undefined),
    beta: site.float('activation_beta', undefined),
    gamma: site.float('activation_gamma', undefined),
  };
}

/** `activation(Conv(X, W, B) + Z)`, B and Z optional; `activation_params` are alpha and beta, or Clip's bounds. */
export const fusedConv: Rule = (site) => {
  const [x, weight, bias, sum] = site.inputs;
  if (!x || !weight) return undefined;
  return activated(site, conv(site, x, weight, bias), sum);
};

/** {@link fusedConv} with X and Z `[batch, height, width, channels]`. X's rank must be known. */
export const nhwcConv: Rule = (site) => {
  const [x, weight, bias, sum] = site.inputs;
  if (!x || !weight) return undefined;
  const y = channelsFirst(site, x, (first) => conv(site, first, weight, bias));
  return y && activated(site, y, sum);
};

function conv(site: ExpansionSite, x: Value, weight: Value, bias: Value | undefined): Value {
  return site.layer(site.g.emit('Conv', [x, weight, bias], convAttributes(site)));
}

/** The node's attributes of Conv. */
export function convAttributes(site: ExpansionSite): Attributes {
  return {
    kernel_shape: site.ints('kernel_shape'),
    strides: site.ints('strides'),
    pads: site.ints('pads'),
    dilations: site.ints('dilations'),
    group: site.int('group', undefined),
    auto_pad: site.has('auto_pad') ? site.string('auto_pad', 'NOTSET') : undefined,
  };
}

function activated(site: ExpansionSite, y: Value, sum: Value | undefined): Value | undefined {
  const [alpha, beta] = site.floats('activation_params');
  return activate(site, site.of('activation'), sum ? site.g.Add(y, sum) : y, { alpha, beta });
}

/** Applies `compute` to x `[batch, …, channels]` with channels second. Undefined for unknown rank. */
export function channelsFirst(
  { g }: ExpansionSite,
  x: Value,
  compute: (x: Value) => Value | undefined,
): Value | undefined {
  const rank = rankOf(x);
  if (rank === undefined || rank < 3) return undefined;
  const positions = Array.from({ length: rank - 2 }, (_, i) => i + 1);
  const y = compute(g.Transpose(x, [0, rank - 1, ...positions]));
  return y && g.Transpose(y, [0, ...positions.map((i) => i + 1), 1]);
}
