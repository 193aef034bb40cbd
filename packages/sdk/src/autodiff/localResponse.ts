/**
 * @file The gradient of LRN, `y = x·s^(−beta)` with `s = bias + alpha/size·Σ x²` over neighbouring channels. Sums over
 * windows of channels are products with a matrix of ones along its diagonal.
 */

import type { Value } from '../graph/builder.ts';
import { floatAttribute, intAttribute } from '../graph/walk.ts';
import { float32 } from '../runtime/tensor.ts';
import { castTo, input, reshapeLike, staticShape, type Vjp } from './vjp.ts';

/** `dy·s^(−beta) − 2·beta·alpha/size · x·Σ dy·y/s`, the sum over the windows that a channel is in. */
export const lrnBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const channels = staticShape(x)[1]!;
  const size = intAttribute(node, 'size', 1);
  const beta = floatAttribute(node, 'beta', 0.75);
  const weight = floatAttribute(node, 'alpha', 1e-4) / size;
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
