/** @file One vector per image from what a model gives, of tensors and inside a graph. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { Features } from './features.ts';

/** GeM: the cube root of the mean of cubes. Radenović et al. start from 3 and clamp at 1e-6. */
const power = 3;
const least = 1e-6;

/**
 * Float32 `[batch, width]` of a feature output.
 *
 * @see https://arxiv.org/abs/1711.02512 (GeM)
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or has another rank than 2, 3 or 4; `LOSS_NOT_FINITE` when
 *   a value is NaN or infinite
 */
export function pooledRows(outputs: Readonly<Record<string, Tensor>>, features: Features): Tensor {
  const tensor = outputs[features.output];
  if (!(tensor?.data instanceof Float32Array) || tensor.dims.length < 2 || tensor.dims.length > 4) {
    const found = tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing';
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The output "${features.output}" must be float32 of two to four dimensions, but the session gave ${found}. Check that the outputs are those of the model that features were chosen from.`,
    );
  }
  const { data, dims } = tensor;
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      `The output "${features.output}" holds ${data[bad]}. The adapter has probably diverged: train it again with a lower learning rate.`,
    );
  }
  if (dims.length === 2) return { type: 'float32', dims, data };
  const batch = dims[0]!;
  const isMap = dims.length === 4;
  const width = isMap ? dims[1]! : dims[2]!;
  const places = data.length / batch / width;
  const [from, to] = isMap ? [0, places] : range(features, places);
  // Where the next place of the same channel is, and the next channel of the same place.
  const [next, channel] = isMap ? [1, places] : [width, 1];
  const result = new Float32Array(batch * width);
  const isGem = features.pooling === 'gem';
  for (let i = 0; i < batch; i++) {
    for (let c = 0; c < width; c++) {
      let sum = 0;
      for (let p = from; p < to; p++) {
        const value = data[i * width * places + p * next + c * channel]!;
        sum += isGem ? Math.max(value, least) ** power : value;
      }
      result[i * width + c] = isGem ? Math.cbrt(sum / (to - from)) : sum / (to - from);
    }
  }
  return { type: 'float32', dims: [batch, width], data: result };
}

/** The same as a graph fragment, for losses: `[batch, width]`. */
export function pooledValue(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, features: Features): Value {
  const value = outputs[features.output]!;
  const dims = value.shape;
  if (dims?.length === 2) return value;
  if (dims?.length !== 3 && dims?.length !== 4) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The shape of "${features.output}" is not known from the graph, so it cannot be pooled. Name an output [batch, width], [batch, tokens, width] or [batch, width, height, width].`,
    );
  }
  const isMap = dims.length === 4;
  const axes = isMap ? [2, 3] : [1];
  const places = isMap ? value : tokens(g, value, features, dims[1]);
  if (features.pooling !== 'gem') return g.ReduceMean(places, axes, false);
  const positive = g.Max(places, least);
  const mean = g.ReduceMean(g.Mul(g.Mul(positive, positive), positive), axes, false);
  return g.Exp(g.Mul(g.Log(mean), 1 / power));
}

/** The tokens that count, of `[batch, tokens, width]`. */
function tokens(g: GraphBuilder, value: Value, features: Features, count: number | string | undefined): Value {
  const [from, to] = range(features, typeof count === 'number' ? count : Infinity);
  if (from === 0 && to === count) return value;
  return g.Slice(value, [from], [Math.min(to, 2 ** 31 - 1)], [1]);
}

function range({ pooling, extraTokens }: Features, count: number): [from: number, to: number] {
  if (pooling === 'cls') return [0, 1];
  return [count > extraTokens ? extraTokens : 0, count];
}
