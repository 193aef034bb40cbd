/** @file FusedConv, NhwcConv and NhwcFusedConv. */

import type { Value } from '../../graph/builder.ts';
import type { Attributes } from '../../graph/attributes.ts';
import { activate } from './activation.ts';
import { type ExpansionSite, rankOf, type Rule } from './site.ts';

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
