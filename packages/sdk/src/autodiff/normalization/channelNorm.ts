/** @file Gradients of BatchNormalization (constant statistics), Instance-, Group-, MeanVarianceNormalization, LRN. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { floatAttribute, intAttribute, intsAttribute } from '../../graph/walk.ts';
import { attributeOf, fromFront } from '../../ops/schema.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import { standardized, type Standardized, standardizedBack } from './standardize.ts';
import {
  castTo,
  channelSums,
  input,
  oncePerNode,
  rankOf,
  reshapeLike,
  staticShape,
  type Vjp,
  type VjpSite,
  widened,
} from '../vjp.ts';

/** Reshapes a value per channel, `[channels]`, to broadcast against `[batch, channels, …]`. */
function column(g: GraphBuilder, value: Value, rank: number): Value {
  return g.Reshape(value, [-1, ...new Array<number>(rank - 2).fill(1)]);
}

/** Σ dy per channel. */
export const channelBias: Vjp = ({ g, dy }) => channelSums(g, dy);

/** 1 ÷ √(variance + ε), `[C]`, with constant running statistics. */
function inverseDeviation(site: VjpSite): Value {
  const { g, node } = site;
  if (attributeOf(node, 'training_mode') === 1) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `BatchNormalization "${node.name}" is in training mode, and only evaluation mode has a gradient rule. Export the model in evaluation mode (model.eval()).`,
    );
  }
  return g.Reciprocal(g.Sqrt(g.Add(input(site, 4), attributeOf(node, 'epsilon'))));
}

/** dx = dy · scale ÷ √(variance + ε). */
export const batchNormInput: Vjp = (site) => {
  const { g, dy } = site;
  return g.Mul(dy, column(g, g.Mul(input(site, 1), inverseDeviation(site)), rankOf(input(site, 0))));
};

/** Σ dy · (x − mean) ÷ √(variance + ε) per channel. */
export const batchNormScale: Vjp = (site) => {
  const { g, dy } = site;
  const x = input(site, 0);
  const centred = g.Sub(x, column(g, input(site, 3), rankOf(x)));
  return g.Mul(channelSums(g, g.Mul(dy, centred)), inverseDeviation(site));
};

const instances = oncePerNode((site): Standardized =>
  standardized(site.g, widened(site.g, input(site, 0)), 2, attributeOf(site.node, 'epsilon')),
);

/** One mean and variance per image and channel: folds the scale into the small inverse deviations. */
export const instanceNormInput: Vjp = (site) => {
  const { g, dy } = site;
  const rows = instances(site);
  const factor = g.Mul(rows.inv, column(g, widened(g, input(site, 1)), rankOf(dy)));
  return castTo(g, standardizedBack(g, widened(g, dy), rows, factor), dy.type);
};

/** Σ dy·x̂ per channel. */
export const instanceNormScale: Vjp = (site) => {
  const { g, dy } = site;
  return castTo(g, channelSums(g, g.Mul(widened(g, dy), instances(site).xhat)), input(site, 1).type);
};

/** x, or another value of its shape, as `[batch, groups, channels · … ÷ groups]`. */
function grouped({ g, node }: VjpSite, value: Value): Value {
  const [batch = 0, channels = 1, ...positions] = staticShape(value);
  const groups = intAttribute(node, 'num_groups', 1);
  return g.Reshape(value, [batch, groups, (channels / groups) * sizeOf(positions)]);
}

const groups = oncePerNode((site): Standardized => {
  const rows = grouped(site, widened(site.g, input(site, 0)));
  return standardized(site.g, rows, 2, attributeOf(site.node, 'epsilon'));
});

/** Scale and bias are per group before opset 21, then per channel. */
const isPerGroup = ({ g }: VjpSite): boolean => g.opset < 21;

/** One mean and variance per group of channels. */
export const groupNormInput: Vjp = (site) => {
  const { g } = site;
  const dy = widened(g, site.dy);
  const scale = widened(g, input(site, 1));
  const rows = groups(site);
  const dx = isPerGroup(site)
    ? standardizedBack(g, grouped(site, dy), rows, g.Mul(rows.inv, column(g, scale, 3)))
    : standardizedBack(g, grouped(site, g.Mul(dy, column(g, scale, rankOf(dy)))), rows);
  return castTo(g, g.Reshape(dx, staticShape(dy)), site.dy.type);
};

/** Σ dy·x̂ per group or channel. */
export const groupNormScale: Vjp = (site) => {
  const { g } = site;
  const dy = widened(g, site.dy);
  const { xhat } = groups(site);
  const product = isPerGroup(site) ? g.Mul(grouped(site, dy), xhat) : g.Mul(dy, g.Reshape(xhat, staticShape(dy)));
  return castTo(g, channelSums(g, product), input(site, 1).type);
};

/** Σ dy per group or channel. */
export const groupNormBias: Vjp = (site) => channelSums(site.g, isPerGroup(site) ? grouped(site, site.dy) : site.dy);

/** `(dy − mean(dy) − y·mean(dy·y)) ÷ deviation` over any axes; y is the standardized value. */
export const meanVarianceBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const axes = (intsAttribute(node, 'axes') ?? [0, 2, 3]).map((axis) => fromFront(axis, rankOf(x)));
  const centred = g.Sub(x, g.ReduceMean(x, axes, true));
  const deviation = g.Sqrt(g.ReduceMean(g.Mul(centred, centred), axes, true));
  // The epsilon in the operator's definition.
  const inv = g.Reciprocal(g.Add(deviation, 1e-9));
  return standardizedBack(g, dy, { xhat: y[0]!, inv, axes });
};

/** `dy·s^(−beta) − 2·beta·alpha/size · x·Σ dy·y/s`, summed over the channel's windows. */
export const lrnBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const channels = staticShape(x)[1]!;
  const size = intAttribute(node, 'size', 1);
  const beta = attributeOf(node, 'beta');
  const weight = attributeOf(node, 'alpha') / size;
  // Channel c sums from c − ⌊(size − 1)/2⌋ to c + ⌈(size − 1)/2⌉.
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const band = new Float32Array(channels * channels);
  for (let c = 0; c < channels; c++)
    for (let k = Math.max(0, c - before); k <= Math.min(channels - 1, c + after); k++) band[c * channels + k] = weight;
  const windows = castTo(g, g.constant(float32(band, [channels, channels])), x.type);
  const columns = (value: Value): Value => g.Reshape(value, [0, channels, -1]);
  const s = reshapeLike(g, g.MatMul(windows, columns(g.Mul(x, x))), x);
  const sums = g.Add(s, floatAttribute(node, 'bias', 1));
  const through = g.MatMul(g.Transpose(windows, [1, 0]), columns(g.Div(g.Mul(dy, y[0]!), sums)));
  return g.Sub(g.Mul(dy, g.Pow(sums, -beta)), g.Mul(g.Mul(x, 2 * beta), reshapeLike(g, through, x)));
};
