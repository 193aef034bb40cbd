/** @file Shared parts of mixtures of LoRAs: stacked experts, top-k gates, load balancing. */

import type { ByTensor, TensorSpec } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { sizeOf, zeros } from '../tuners/tensors.ts';

export interface Experts {
  readonly experts: number;
  readonly r: number;
}

/** A `[experts, r, in]` uniform in ±1/√in, and B `[experts, out, r]` zero, as LoRA's init. */
export function expertTensors(
  { experts, r }: Experts,
  { in: width, out }: { readonly in: number; readonly out: number },
): { readonly A: TensorSpec; readonly B: TensorSpec } {
  const A = [experts, r, width];
  const first: TensorSpec['init'] = (random) =>
    new Float32Array(sizeOf(A)).map(() => random.uniform(-1, 1) / Math.sqrt(width));
  return { A: { ...zeros(A), init: first }, B: zeros([experts, out, r]) };
}

/** Σₑ gₑ·Bₑ·Aₑ·x, `[..., out]`, for x `[..., in]` and gates `[..., experts]`, as two products around the gates. */
export function mixed(g: GraphBuilder, x: Value, { A, B }: ByTensor<Value>, gates: Value, sizes: Experts): Value {
  const { experts, r } = sizes;
  const [all, width, out] = [experts * r, A!.shape![2] as number, B!.shape![1] as number];
  const down = g.MatMul(x, g.Transpose(g.Reshape(A!, [all, width]), [1, 0]));
  const up = g.Reshape(g.Transpose(B!, [0, 2, 1]), [all, out]);
  return g.MatMul(g.Mul(down, perRank(g, gates, sizes)), up);
}

/** Repeats gates `[..., experts]` per rank: `[..., experts · r]`. */
function perRank(g: GraphBuilder, gates: Value, { experts, r }: Experts): Value {
  const data = Float32Array.from({ length: experts * experts * r }, (_, i) => Number(Math.floor(i / (experts * r)) === Math.floor((i % (experts * r)) / r))); // prettier-ignore
  return g.MatMul(gates, g.constant({ type: 'float32', dims: [experts, experts * r], data }));
}

/** Softmax over the k largest scores `[..., experts]`; 0 for the others. */
export function topGates(g: GraphBuilder, scores: Value, k: number, experts: number): Value {
  if (k >= experts) return g.Softmax(scores, -1);
  return g.Softmax(g.Where(isTop(g, scores, k), scores, -1e9), -1);
}

/** Mask of the k largest scores `[..., experts]`. */
export function isTop(g: GraphBuilder, scores: Value, k: number): Value {
  const [largest] = g.emitMany('TopK', [g.stopGradient(g.Identity(scores)), g.ints([k])], 2, { axis: -1 });
  return g.GreaterOrEqual(scores, g.ReduceMin(largest!, [-1], true));
}

/** ONNX's data type number of float32. */
const FLOAT = 1;

/**
 * Load-balancing loss of scores `[..., experts]`, 1 for a uniform load: experts · Σₑ (routed share) · (mean
 * probability).
 * The Switch transformer's formula, as MixLoRA and MoLA use it.
 */
export function imbalance(g: GraphBuilder, scores: Value, k: number, experts: number): Value {
  const axes = Array.from({ length: scores.shape!.length - 1 }, (_, axis) => axis);
  const share = g.Div(g.ReduceMean(g.Cast(isTop(g, scores, k), FLOAT), axes, false), k);
  const probability = g.ReduceMean(g.Softmax(scores, -1), axes, false);
  return g.Mul(g.ReduceSum(g.Mul(share, probability), [0], false), experts);
}

/** The k best experts in order: weights `[..., 1]` that sum to 1, and one-hot masks. */
export function choices(
  g: GraphBuilder,
  scores: Value,
  k: number,
  experts: number,
): { readonly weight: Value; readonly isChosen: Value }[] {
  const [largest, places] = g.emitMany('TopK', [scores, g.ints([k])], 2, { axis: -1 }) as [Value, Value];
  const weights = g.Softmax(largest, -1);
  const numbers = g.ints(Array.from({ length: experts }, (_, e) => e));
  return Array.from({ length: k }, (_, i) => ({
    weight: g.Slice(weights, [i], [i + 1], [-1]),
    isChosen: g.Cast(g.Equal(g.Slice(places, [i], [i + 1], [-1]), numbers), FLOAT),
  }));
}
