/** @file GroupNormalization, GroupNorm and SkipGroupNorm. */

import type { Value } from '../../graph/builder.ts';
import { type Expanded, type ExpansionSite, rankOf, type Rule, staticDim } from './site.ts';

/** GroupNormalization; scale and bias are per channel since opset 21, before per group. */
export const groupNormalization: Rule = (site) => {
  const [x, scale, bias] = site.inputs;
  const groups = site.int('num_groups', 0);
  if (!x || !scale || !bias || groups < 1 || site.of('stash_type') !== 1) return undefined;
  return grouped(site, x, scale, bias, { groups, perGroup: site.opset < 21 });
};

/** GroupNorm and SkipGroupNorm: `activation` 1 is SiLU, skip broadcastable or `[batch, channels]`, output 1 the sum. */
export const groupNorm: Rule = (site): Expanded => {
  const [x, gamma, beta, skip, bias] = site.inputs;
  const [rank, groups] = [rankOf(x), site.int('groups', 0)];
  if (!x || !gamma || !beta || groups < 1 || rank === undefined || rank < 3) return undefined;
  const { g } = site;
  const isLast = site.of('channels_last') === 1;
  const positions = Array.from({ length: rank - 2 }, (_, i) => i + 1);
  const sum = residual(site, x, skip, bias, isLast);
  if (!sum) return undefined;
  const first = isLast ? g.Transpose(sum, [0, rank - 1, ...positions]) : sum;
  const normal = grouped(site, first, gamma, beta, { groups, perGroup: false });
  const active = normal && site.int('activation', 0) === 1 ? g.Mul(normal, g.Sigmoid(normal)) : normal;
  const y = active && isLast ? g.Transpose(active, [0, ...positions.map((i) => i + 1), 1]) : active;
  return [y, sum];
};

function residual(
  { g }: ExpansionSite,
  x: Value,
  skip: Value | undefined,
  bias: Value | undefined,
  isLast: boolean,
): Value | undefined {
  const rank = rankOf(x)!;
  const positions = Array.from({ length: rank - 2 }, (_, i) => (isLast ? i + 1 : i + 2));
  let sum = x;
  if (skip) {
    const ranks = rankOf(skip);
    if (ranks !== rank && ranks !== 2) return undefined;
    sum = g.Add(sum, ranks === 2 ? g.Unsqueeze(skip, positions) : skip);
  }
  if (bias)
    sum = g.Add(
      sum,
      isLast
        ? bias
        : g.Unsqueeze(
            bias,
            positions.map((i) => i - 1),
          ),
    );
  return sum;
}

/** Normalizes x `[batch, channels, …]` per group of channels, times scale plus bias. */
function grouped(
  site: ExpansionSite,
  x: Value,
  scale: Value,
  bias: Value,
  { groups, perGroup }: { groups: number; perGroup: boolean },
): Value | undefined {
  const { g } = site;
  const [rank, channels] = [rankOf(x), staticDim(x, 1) ?? (perGroup ? undefined : staticDim(scale, 0))];
  if (rank === undefined || channels === undefined || channels % groups !== 0) return undefined;
  const isShort = x.type === 'float16' || x.type === 'bfloat16';
  const wide = isShort ? site.cast(x, 'float32') : x;
  const rows = g.Reshape(wide, [0, groups, -1]);
  const centred = g.Sub(rows, g.ReduceMean(rows, [2], true));
  const variance = g.ReduceMean(g.Mul(centred, centred), [2], true);
  const deviation = g.Sqrt(g.Add(variance, g.scalar(site.of('epsilon'), wide.type)));
  const normal = g.Div(centred, deviation);
  const back = (each: Value): Value => {
    const shaped = g.Reshape(each, g.Shape(x));
    return isShort ? site.cast(shaped, x.type!) : shaped;
  };
  const column = (each: Value): Value =>
    g.Unsqueeze(
      each,
      Array.from({ length: rank - 2 }, (_, i) => i + 1),
    );
  if (perGroup) {
    // Scale and bias have the type of x, which may be narrower.
    const each = (value: Value): Value => g.Unsqueeze(site.cast(value, wide.type!), [1]);
    return back(g.Add(g.Mul(normal, each(scale)), each(bias)));
  }
  const type = x.type!;
  return g.Add(g.Mul(back(normal), column(site.cast(scale, type))), column(site.cast(bias, type)));
}
