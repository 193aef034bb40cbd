/** @file Gradients of BatchNormalization as it is in a trained model: mean and variance are constants. */

import { OnnxLoraError } from '../../errors.ts';
import type { Value } from '../../graph/builder.ts';
import { input, rankOf, type Vjp, type VjpSite } from '../vjp.ts';
import { attributeOf } from '../../ops/schema.ts';

/** A value per channel, `[C]`, as what broadcasts against `[N, C, ...]`. */
function perChannel({ g, x: [x] }: VjpSite, value: Value): Value {
  return g.Reshape(value, [-1, ...new Array<number>(rankOf(x!) - 2).fill(1)]);
}

/** 1 ÷ √(variance + ε), `[C]`. */
function inverseDeviation(site: VjpSite): Value {
  const { g, node } = site;
  if (attributeOf(node, 'training_mode') === 1) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `BatchNormalization "${node.name}" is in training mode, which has no gradient rule. Export the model in evaluation mode (model.eval()).`,
    );
  }
  return g.Reciprocal(g.Sqrt(g.Add(input(site, 4), attributeOf(node, 'epsilon'))));
}

/** Sums over all axes but the channels'. */
function channelSums({ g }: VjpSite, value: Value): Value {
  const axes = Array.from({ length: rankOf(value) }, (_, i) => i).filter((axis) => axis !== 1);
  return g.ReduceSum(value, axes, false);
}

/** dx = dy · scale ÷ √(variance + ε). */
export const batchNormInput: Vjp = (site) =>
  site.g.Mul(site.dy, perChannel(site, site.g.Mul(input(site, 1), inverseDeviation(site))));

/** The sum of dy · (x − mean) ÷ √(variance + ε) per channel. */
export const batchNormScale: Vjp = (site) => {
  const { g, dy } = site;
  const centred = g.Sub(input(site, 0), perChannel(site, input(site, 3)));
  return g.Mul(channelSums(site, g.Mul(dy, centred)), inverseDeviation(site));
};

/** The sum of dy per channel. */
export const batchNormBias: Vjp = (site) => channelSums(site, site.dy);
