/** @file Shape inference of reductions and normalizations. */

import type { Dim, ValueType } from '../../graph/value.ts';
import { stringAttribute } from '../../graph/walk.ts';
import { add, multiply } from '../dim.ts';
import { type InferenceSite, input, like, numbersIn, type Rule, shaped } from './site.ts';
import { attributeOf, axisOf, reducedAxes } from '../schema.ts';

/** A reduction; `fold` computes the contents of lists. */
function reduction(fold?: (a: Dim, b: Dim) => Dim | undefined): Rule {
  return (site) => {
    const { type, shape, ints } = input(site);
    if (!shape) return [{ type }];
    const keep = attributeOf(site.node, 'keepdims') === 1;
    const axes = reducedAxes(site.node, shape.length, (i) => numbersIn(input(site, i)));
    if (!axes) return [{ type }];
    const result = shape.flatMap((dim, i) => (!axes.includes(i) ? [dim] : keep ? [1] : []));
    const isList = axes.length > 0 && shape.length === 1;
    return [{ type, shape: result, ints: isList && ints && fold ? folded(ints, fold) : undefined }];
  };
}

function folded(ints: readonly Dim[], fold: (a: Dim, b: Dim) => Dim | undefined): Dim[] | undefined {
  const [first, ...rest] = ints;
  const result = rest.reduce<Dim | undefined>((a, b) => (a === undefined ? undefined : fold(a, b)), first);
  return result === undefined ? undefined : [result];
}

const numeric =
  (operation: (a: number, b: number) => number) =>
  (a: Dim, b: Dim): Dim | undefined =>
    typeof a === 'number' && typeof b === 'number' ? operation(a, b) : undefined;

const arg: Rule = (site) => {
  const { shape } = input(site);
  const axis = shape && axisOf(site.node, shape.length);
  const keep = attributeOf(site.node, 'keepdims') === 1;
  return [{ type: 'int64', shape: shape?.flatMap((dim, i) => (i === axis ? (keep ? [1] : []) : [dim])) }];
};

/** Result, means and inverse deviations, reduced from `axis` on. */
const normalization: Rule = (site) => {
  const { type, shape } = input(site);
  const axis = shape && axisOf(site.node, shape.length);
  const reduced = shape?.map((dim, i) => (i >= axis! ? 1 : dim));
  const statistics = { type: 'float32' as const, shape: reduced };
  return [{ type, shape }, statistics, statistics];
};

/** Result, means, inverse deviations, and the normalized sum. */
const skipNormalization: Rule = (site) =>
  [input(site), {}, {}, input(site)].map(({ type, shape }) => ({ type, shape }));

/** In training also running means and variances per channel. */
const batchNormalization: Rule = (site) => [
  ...like(1)(site),
  ...[3, 4, 3, 4].map((i) => ({ type: input(site, i).type, shape: input(site, i).shape })),
];

/** A loss of scores `[batch, classes, …]`, per element without `reduction`, and log probabilities. */
const loss: Rule = (site) => {
  const { type, shape } = input(site);
  const isReduced = stringAttribute(site.node, 'reduction', 'mean') !== 'none';
  return [
    { type, shape: isReduced ? [] : input(site, 1).shape },
    { type, shape },
  ];
};

/** Result `[batch, positions, hidden]`, lengths `[batch]`, sum of embeddings. */
const embedLayerNorm =
  (typed: number): Rule =>
  (site: InferenceSite): readonly ValueType[] => {
    const [ids, words] = [input(site).shape, input(site, 2).shape];
    const { type } = input(site, typed);
    const shape = ids && words && [...ids, words[1]!];
    return [
      { type, shape },
      { type: 'int32', shape: ids && [ids[0]!] },
      { type, shape },
    ];
  };

export const reductionRules: Readonly<Record<string, Rule>> = {
  ReduceSum: reduction(add),
  ReduceProd: reduction(multiply),
  ReduceMax: reduction(numeric(Math.max)),
  ReduceMin: reduction(numeric(Math.min)),
  ReduceMean: reduction(),
  ReduceL1: reduction(),
  ReduceL2: reduction(),
  ReduceSumSquare: reduction(),
  ReduceLogSum: reduction(),
  ReduceLogSumExp: reduction(),
  Det: shaped((shape) => shape.slice(0, -2)),
  ArgMax: arg,
  ArgMin: arg,
  LayerNormalization: normalization,
  RMSNormalization: normalization,
  SimplifiedLayerNormalization: normalization,
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: skipNormalization,
  EmbedLayerNormalization: embedLayerNorm(2),
  QEmbedLayerNormalization: embedLayerNorm(8),
  BatchNormalization: batchNormalization,
  InstanceNormalization: like(1),
  GroupNormalization: like(1),
  LpNormalization: like(1),
  MeanVarianceNormalization: like(1),
  LRN: like(1),
  GroupNorm: like(1),
  SkipGroupNorm: like(2),
  SoftmaxCrossEntropyLoss: loss,
  NegativeLogLikelihoodLoss: loss,
};
