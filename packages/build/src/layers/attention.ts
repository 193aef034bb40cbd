/** @file Scaled dot-product attention: Vaswani et al. 2017; grouped queries: Ainslie et al. 2023. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Dim, float } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import { recordSource, RUNTIME, sourceOf } from './fused.ts';
import { type Module, widthOf } from './module.ts';

/** Inputs of attention by heads, `[batch, heads, length, head size]`. */
export interface Heads {
  readonly q: Value;
  /** Keys; their heads divide those of queries. */
  readonly k: Value;
  /** Values, with as many heads as keys. */
  readonly v: Value;
  /** Factor of scores; 1 ÷ √(head size) by default. */
  readonly scale?: number;
  /** Soft cap of scores by tanh, as in Gemma 2. */
  readonly cap?: number | undefined;
  /** Addends of scores that broadcast to `[batch, heads, queries, keys]`, added in order. */
  readonly mask?: Value | readonly Value[] | undefined;
}

/** `[batch, length, heads · size]` → `[batch, heads, length, size]`. @throws OnnxLoraError `CONFIG_INVALID` */
export function splitHeads({ g, path }: Module, x: Value, heads: number): Value {
  const width = widthOf(x);
  if (width % heads === 0)
    return recordSource(g.Transpose(g.Reshape(x, [0, 0, heads, width / heads]), [0, 2, 1, 3]), x);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `config.json asks for ${heads} heads in "${path}", and ${width} is no multiple of that. Use the config.json that the weights were saved with.`,
  );
}

/** `[batch, heads, length, size]` → `[batch, length, heads · size]`. */
export function joinHeads({ g }: Module, x: Value): Value {
  return sourceOf(x) ?? g.Reshape(g.Transpose(x, [0, 2, 1, 3]), [0, 0, Number(x.shape![1]) * widthOf(x)]);
}

/** Softmax of the scores times the values: `[batch, queries, heads · head size]`. */
export function attend(m: Module, asked: Heads): Value {
  const { q, k, v, scale = 1 / Math.sqrt(widthOf(q)), cap, mask } = asked;
  const { g } = m;
  const heads = Number(q.shape![1]);
  const masks = mask === undefined ? [] : 'name' in mask ? [mask] : mask;
  const fused = m.isFused && cap === undefined ? multiHead(m, asked, scale, masks) : undefined;
  if (fused) return fused;
  const keys = g.Transpose(repeated(m, k, heads), [0, 1, 3, 2]);
  const raw = g.MatMul(scale === 1 ? q : g.Mul(q, scale), keys);
  const scores = masks.reduce((sum, each) => g.Add(sum, each), cap === undefined ? raw : capped(m, raw, cap));
  return joinHeads(m, g.MatMul(g.Softmax(scores, -1), repeated(m, v, heads)));
}

/** Fused attention; undefined for unsupported masks or widths, or one query shared by a batch. */
function multiHead(m: Module, { q, k, v }: Heads, scale: number, masks: readonly Value[]): Value | undefined {
  const { g } = m;
  const [batch, heads] = q.shape!;
  // The operator takes keys as wide as values.
  if (batch !== k.shape![0] || widthOf(k) !== widthOf(v) || !masks.every((mask) => isTaken(mask, q))) return undefined;
  const queries = joinHeads(m, q);
  const joined = heads === k.shape![1] ? [k, v].map((x) => sourceOf(x)) : [];
  const [keys, values] = joined[0] && joined[1] ? joined : [k, v].map((x) => repeated(m, x, Number(heads)));
  const added = masks.length === 0 ? undefined : whole(m, masks.reduce((a, b) => g.Add(a, b)), queries); // prettier-ignore
  const attributes = { num_heads: Number(heads), scale: float(scale) };
  return g.emit('MultiHeadAttention', [queries, keys, values, undefined, undefined, added], attributes, RUNTIME);
}

/** The fused operator's only mask shapes: batch and heads each 1 or full size. */
function isTaken({ shape = [] }: Value, q: Value): boolean {
  const isSize = (size: Dim | undefined, axis: number): boolean => size === 1 || size === q.shape![axis];
  return shape.length === 2 || (shape.length === 4 && isSize(shape[0], 0) && isSize(shape[1], 1));
}

/** Expands a mask `[…, queries or 1, keys]` to all queries, as the operator requires. */
function whole(m: Module, mask: Value, queries: Value): Value {
  const { g } = m;
  const byHead = mask.shape!.length === 2 ? g.Unsqueeze(mask, [0, 1]) : mask;
  if (byHead.shape![2] !== 1) return byHead;
  return g.Expand(byHead, g.Concat([g.ints([1, 1]), m.sizeOf(queries, 1), g.ints([1])], 0));
}

/** Soft cap: x between ±`cap` by tanh. */
export function capped({ g }: Module, x: Value, cap: number): Value {
  return g.Mul(g.Tanh(g.Div(x, cap)), cap);
}

/** Repeats key heads for grouped queries. */
function repeated({ g }: Module, x: Value, heads: number): Value {
  const own = Number(x.shape![1]);
  if (own === heads) return x;
  const [batch, length] = [0, 2].map((axis) => g.Slice(g.Shape(x), [axis], [axis + 1], [0])) as [Value, Value];
  const [times, size] = [heads / own, widthOf(x)];
  const wide = g.Expand(g.Unsqueeze(x, [2]), g.Concat([batch, g.ints([own, times]), length, g.ints([size])], 0));
  return g.Reshape(wide, g.Concat([batch, g.ints([heads]), length, g.ints([size])], 0));
}

export interface Projections {
  readonly names: readonly [q: string, k: string, v: string];
  readonly heads: number;
  /** Heads of keys and values; as many as of queries by default. */
  readonly keyHeads?: number;
  /** Width of a head; input width ÷ heads by default. */
  readonly headSize?: number;
  /** Which of the three have a bias; all by default. */
  readonly bias?: boolean | readonly [q: boolean, k: boolean, v: boolean];
  /** Source of keys and values; x by default. */
  readonly from?: Value;
}

/** Queries, keys and values of x `[batch, length, width]` by heads. */
export function project(m: Module, x: Value, wanted: Projections): [q: Value, k: Value, v: Value] {
  const { names, heads, keyHeads = heads, headSize = widthOf(x) / heads, bias = true, from = x } = wanted;
  const part = (i: number): Value => {
    const [source, count] = i === 0 ? [x, heads] : [from, keyHeads];
    const hasBias = typeof bias === 'boolean' ? bias : bias[i]!;
    return splitHeads(m, m.linear(names[i]!, source, count * headSize, { bias: hasBias }), count);
  };
  // The order of torch's exporters, on which an adapter's random init depends.
  const [k, v, q] = [part(1), part(2), part(0)];
  return [q, k, v];
}

/** Self-attention without output projection: `[batch, length, width]` → the same. */
export function selfAttention(
  m: Module,
  x: Value,
  { mask, scale, ...projections }: Projections & Pick<Heads, 'mask' | 'scale'>,
): Value {
  const [q, k, v] = project(m, x, projections);
  return attend(m, { q, k, v, mask, ...(scale === undefined ? {} : { scale }) });
}

/**
 * Queries, keys and values by heads. A checkpoint may have one weight `in_proj_weight` for all three, as torch's own
 * attention has it.
 */
export function packedProjections(
  m: Module,
  inputs: readonly [q: Value, k: Value, v: Value],
  heads: number,
  bias = true,
): [q: Value, k: Value, v: Value] {
  const width = widthOf(inputs[0]);
  const names = ['q_proj', 'k_proj', 'v_proj'] as const;
  if (m.has('q_proj.weight'))
    return inputs.map((x, i) => splitHeads(m, m.linear(names[i]!, x, width, { bias }), heads)) as [Value, Value, Value];
  const thirds = [width, width, width];
  const weights = m.g.Split(m.parameter('in_proj_weight', [3 * width, width]), thirds, 0);
  const biases = bias ? m.g.Split(m.parameter('in_proj_bias', [3 * width]), thirds, 0) : undefined;
  return inputs.map((x, i) => {
    const { g } = m.at(names[i]!);
    const product = g.MatMul(x, g.Transpose(weights[i]!, [1, 0]));
    return splitHeads(m, biases ? g.Add(product, biases[i]!) : product, heads);
  }) as [Value, Value, Value];
}
