/** @file Pools features into one vector per example, on tensors and in graphs. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';

/** GeM (https://arxiv.org/abs/1711.02512): the cube root of the mean of cubes, clamped at 1e-6. */
const POWER = 3;
const LEAST = 1e-6;
/** Replaces masked positions in a maximum. */
const NOTHING = -1e9;
const FLOAT = 1;

/** Positions of a row to pool, of `count`: from the first to before `to`. */
export type PoolRange = (row: number, count: number) => readonly [from: number, to: number];

/** How vectors are pooled. */
export interface PoolOptions {
  /** Positions to pool; all by default. */
  readonly places?: PoolRange;
  /** Mean (the default), generalised mean (GeM), or element-wise maximum. */
  readonly kind?: 'mean' | 'gem' | 'max' | undefined;
}

/** The features in an output. @throws OnnxLoraError `INPUT_INVALID` for other types or ranks; `LOSS_NOT_FINITE` */
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

/** Pools `[batch, tokens, width]` or maps `[batch, width, height, width]`. @throws as {@link featureTensor} */
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
  // Stride between positions of a channel, and between channels of a position.
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

/** Pools in a graph, for losses; all rows have the same positions. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
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

/** Positions of each row, int64 `[batch]`: from `from`, the first by default, to before `to`. */
export type PooledPositions = () => { readonly from?: Value | undefined; readonly to: Value };

/** As {@link pooledValue} with means over each row's own positions; `places` is called only if there are tokens. */
export function meanOfPlaces(g: GraphBuilder, value: Value, places: PooledPositions): Value {
  if (shapeOf(value, [2, 3]).length === 2) return value;
  const { mask, size } = placesMask(g, value, places);
  return g.Div(g.ReduceSum(g.Mul(value, mask), [1], false), size);
}

/** As {@link meanOfPlaces}, with the element-wise maximum. */
export function maxOfPlaces(g: GraphBuilder, value: Value, places: PooledPositions): Value {
  if (shapeOf(value, [2, 3]).length === 2) return value;
  const { mask } = placesMask(g, value, places);
  return g.ReduceMax(g.Where(g.Greater(mask, 0), value, NOTHING), [1], false);
}

/** Mask of the positions, 1 or 0 `[batch, tokens, 1]`, and their number per row, `[batch, 1]`. */
function placesMask(
  g: GraphBuilder,
  value: Value,
  places: PooledPositions,
): { readonly mask: Value; readonly size: Value } {
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
