/** @file One vector per example from what a model gives, of tensors and inside a graph. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';

/** GeM: the cube root of the mean of cubes. Radenović et al. start from 3 and clamp at 1e-6. */
const POWER = 3;
const LEAST = 1e-6;
/** In place of what does not count, where the largest is looked for. */
const NOTHING = -1e9;
/** ONNX's number of float32. */
const FLOAT = 1;

/** Which vectors of a row count, of `count` that it has: from the first to the one before `to`. */
export type PlacesOf = (row: number, count: number) => readonly [from: number, to: number];

/** How several vectors become one. */
export interface PoolOptions {
  /** Which count; all by default. */
  readonly places?: PlacesOf;
  /** Takes the generalised mean (GeM), or of each number the largest, in place of the mean, which is the default. */
  readonly kind?: 'mean' | 'gem' | 'max' | undefined;
}

/**
 * What the session gave as features.
 *
 * @throws OnnxLoraError `INPUT_INVALID` where that is not float32 of so many dimensions; `LOSS_NOT_FINITE` when a value is NaN or
 *   infinite
 */
export function featureTensor(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  ranks: readonly number[] = [2, 3, 4],
): Tensor & { readonly data: Float32Array } {
  const tensor = outputs[output];
  const data = tensor?.data;
  if (!(data instanceof Float32Array) || !ranks.includes(tensor!.dims.length)) {
    const found = tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing';
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The output "${output}" must be float32 of ${ranks.join(' or ')} dimensions, but the session gave ${found}. Check that the outputs are those of the model that features were chosen from, or name another output.`,
    );
  }
  const bad = data.find((value) => !Number.isFinite(value));
  if (bad !== undefined) {
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      `The output "${output}" holds ${bad}. The adapter has probably diverged: train it again with a lower learning rate.`,
    );
  }
  return { ...tensor!, data };
}

/**
 * Float32 `[batch, width]` of features `[batch, width]`, which stay as they are, `[batch, tokens, width]` or a map
 * `[batch, width, height, width]`.
 *
 * @see https://arxiv.org/abs/1711.02512 (GeM)
 * @throws OnnxLoraError as {@link featureTensor}
 */
export function pooledRows(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  { places = (_, count) => [0, count], kind = 'mean' }: PoolOptions = {},
): Tensor {
  const { data, dims } = featureTensor(outputs, output);
  if (dims.length === 2) return float32(data, dims);
  const batch = dims[0]!;
  const isMap = dims.length === 4;
  const width = isMap ? dims[1]! : dims[2]!;
  const count = data.length / batch / width;
  // Where the next place of the same channel is, and the next channel of the same place.
  const [next, channel] = isMap ? [1, count] : [width, 1];
  const result = new Float32Array(batch * width);
  const [isGem, isMax] = [kind === 'gem', kind === 'max'];
  for (let i = 0; i < batch; i++) {
    const [from, to] = isMap ? [0, count] : places(i, count);
    for (let c = 0; c < width; c++) {
      let [sum, most] = [0, -Infinity];
      for (let p = from; p < to; p++) {
        const value = data[i * width * count + p * next + c * channel]!;
        sum += isGem ? Math.max(value, LEAST) ** POWER : value;
        most = Math.max(most, value);
      }
      const mean = sum / (to - from);
      result[i * width + c] = isMax ? most : isGem ? Math.cbrt(mean) : mean;
    }
  }
  return float32(result, [batch, width]);
}

/**
 * The same as a graph fragment, for losses, where the same places of all rows count: `[batch, width]`.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph does not say the shape
 */
export function pooledValue(g: GraphBuilder, value: Value, { places, kind = 'mean' }: PoolOptions = {}): Value {
  const dims = shapeOf(value, [2, 3, 4]);
  if (dims.length === 2) return value;
  const isMap = dims.length === 4;
  const axes = isMap ? [2, 3] : [1];
  const count = dims[1];
  const [from, to] = (!isMap && places?.(0, typeof count === 'number' ? count : Infinity)) || [0, count];
  const isAll = from === 0 && to === count;
  const kept = isAll ? value : g.Slice(value, [from], [Math.min(to as number, 2 ** 31 - 1)], [1]);
  if (kind === 'max') return g.ReduceMax(kept, axes, false);
  if (kind === 'mean') return g.ReduceMean(kept, axes, false);
  const positive = g.Max(kept, LEAST);
  const mean = g.ReduceMean(g.Mul(g.Mul(positive, positive), positive), axes, false);
  return g.Exp(g.Mul(g.Log(mean), 1 / POWER));
}

/** Places of each row, int64 `[batch]`: from the one, the first by default, to before the other. */
export type RowPlaces = () => { readonly from?: Value | undefined; readonly to: Value };

/**
 * The same where each row has its own places: means of `[batch, tokens, width]` over the tokens from `from`, the first by default,
 * to before `to`, int64 `[batch]`; at least one counts.
 *
 * @param places called where there are several vectors
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph does not say the shape
 */
export function meanOfPlaces(g: GraphBuilder, value: Value, places: RowPlaces): Value {
  if (shapeOf(value, [2, 3]).length === 2) return value;
  const { mask, size } = placesMask(g, value, places);
  return g.Div(g.ReduceSum(g.Mul(value, mask), [1], false), size);
}

/**
 * The same with the largest of each number in place of the mean.
 *
 * @throws OnnxLoraError as {@link meanOfPlaces}
 */
export function maxOfPlaces(g: GraphBuilder, value: Value, places: RowPlaces): Value {
  if (shapeOf(value, [2, 3]).length === 2) return value;
  const { mask } = placesMask(g, value, places);
  return g.ReduceMax(g.Where(g.Greater(mask, 0), value, NOTHING), [1], false);
}

/** Which places count, 1 or 0 `[batch, tokens, 1]`, and how many of each row, `[batch, 1]`. */
function placesMask(g: GraphBuilder, value: Value, places: RowPlaces): { readonly mask: Value; readonly size: Value } {
  const [batch, count] = value.shape!;
  if (typeof batch !== 'number' || typeof count !== 'number') throw unknownShape(value, [2, 3]);
  const { from, to } = places();
  const column = (each: Value): Value => g.Reshape(g.Cast(each, FLOAT), [batch, 1]);
  const all = g.Reshape(g.Cast(g.ints(Array.from({ length: count }, (_, i) => i)), FLOAT), [1, count]);
  const end = g.Min(g.Max(column(to), 1), count);
  const isBefore = g.Cast(g.Less(all, end), FLOAT);
  const mask = from ? g.Sub(isBefore, g.Cast(g.Less(all, column(from)), FLOAT)) : isBefore;
  return { mask: g.Reshape(mask, [batch, count, 1]), size: from ? g.Sub(end, column(from)) : end };
}

function shapeOf(value: Value, ranks: readonly number[]): NonNullable<Value['shape']> {
  if (value.shape && ranks.includes(value.shape.length)) return value.shape;
  throw unknownShape(value, ranks);
}

function unknownShape({ name }: Value, ranks: readonly number[]): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The shape of "${name}" is not known from the graph as one of ${ranks.join(' or ')} dimensions, so it cannot be pooled. Name an output [batch, width] or [batch, tokens, width].`,
  );
}
