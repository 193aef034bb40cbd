/** @file LongLoRA's shifted sparse attention: training within groups of tokens, which half of the heads shift. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { GraphBuilder, PreparedTask, TaskModel, Value } from '@onnx-lora/sdk/tasks';
import type { NodeProto } from '@onnx-lora/sdk/plugin';
import { type Attention, attentionsOf } from './attentions.ts';

/**
 * Shifted sparse attention (S²-Attn) of a training graph in groups of `size` tokens. The second half of the heads
 * shifts its groups by `size / 2` tokens, which lets neighbouring groups exchange information; its last group joins the
 * text's last tokens and its first. Unlike the authors' code it keeps the graph's masks, so no token attends to a later
 * one. Batches of up to `size` tokens keep full attention; longer ones must be a multiple of it.
 * @see Chen et al., "LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models" (2023), arXiv:2309.12307
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` as {@link attentionsOf}; when the graph is built, for attention of another
 * form
 */
export function groupedAttention(model: TaskModel, size: number): NonNullable<PreparedTask['inside']> {
  return Object.fromEntries(
    attentionsOf(model, 'Attention in groups').map((attention) => [
      attention.result.output![0]!,
      (g, own, { value }) => inGroups(g, own, attention, { size, value, name: model.name }),
    ]),
  );
}

interface Groups {
  readonly size: number;
  readonly value: (name: string) => Value;
  readonly name: string;
}

function inGroups(g: GraphBuilder, own: Value, { product, between, result }: Attention, groups: Groups): Value {
  const { size, value } = groups;
  const [q, k] = product.input!.map((name) => value(name)) as [Value, Value];
  const v = value(result.input![1]!);
  const [batch, heads, length, depth] = (own.shape ?? []) as readonly number[];
  const isPlain =
    own.shape?.length === 4 &&
    [batch, heads, length].join() === q.shape?.slice(0, 3).join() &&
    [batch, heads, q.shape[3], length].join() === k.shape?.join() &&
    [batch, heads, length, depth].join() === v.shape?.join();
  if (!isPlain || length! % size !== 0) {
    if (isPlain && length! < size) return own;
    throw unsupported(groups.name, `scores are not [batch, heads, tokens, tokens], or ${length} tokens no groups of ${size}`); // prettier-ignore
  }
  const count = length! / size;
  if (count === 1) return own;
  const half = Math.floor(heads! / 2);
  const parts = [
    { from: 0, to: half, shift: 0 },
    { from: half, to: heads!, shift: size / 2 },
  ].filter(({ from, to }) => to > from);
  const made = parts.map(({ from, to, shift }) => {
    const some = to - from;
    const ofHeads = (x: Value): Value => g.Slice(x, [from], [to], [1]);
    const rows = (x: Value): Value => g.Reshape(turned(g, ofHeads(x), 2, shift), [batch!, some, count, size, x.shape![3] as number]); // prettier-ignore
    const columns = g.Reshape(turned(g, ofHeads(k), 3, shift), [batch!, some, k.shape![2] as number, count, size]);
    const values = new Map<string, Value>();
    values.set(product.output![0]!, g.MatMul(rows(q), g.Transpose(columns, [0, 1, 3, 2, 4])));
    for (const node of between) {
      const inputs = node.input!.map((name) => {
        const before = values.get(name);
        if (before || name === '') return before;
        const x = value(name);
        const axis = (x.shape?.length ?? 0) - 3;
        const mine = x.shape?.[axis] === heads ? g.Slice(x, [from], [to], [axis]) : x;
        return picked(g, mine, { ...groups, length: length!, shift });
      });
      values.set(node.output![0]!, g.emit(node.opType!, inputs, attributesOf(node, groups.name)));
    }
    const read = g.MatMul(values.get(result.input![0]!)!, rows(v));
    return turned(g, g.Reshape(read, [batch!, some, length!, depth!]), 2, shift === 0 ? 0 : length! - shift);
  });
  return made.length === 1 ? made[0]! : g.Concat(made, 1);
}

function attributesOf({ opType = '', attribute = [] }: NodeProto, name: string): Readonly<Record<string, number>> {
  const numbers = Object.fromEntries(attribute.map((each) => [each.name!, Number(each.i ?? 0)]));
  const { axis = -1, ...others } = numbers;
  if (opType === 'Softmax' && (axis === -1 || axis === 3)) return { axis: -1 };
  if (opType === 'Cast' ? Object.keys(others).join() === 'to' : attribute.length === 0) return others;
  throw unsupported(name, `${opType} stands between its products with attributes of its own`);
}

/** Slices a mask or bias `[…, queries, keys]` into groups `[…, groups, size, size]`; sizes of 1 stay 1. */
function picked(
  g: GraphBuilder,
  x: Value,
  { size, length, shift, name }: Groups & { readonly length: number; readonly shift: number },
): Value {
  const shape = (x.shape ?? []) as readonly number[];
  const [queries = 1, keys = 1] = [shape.at(-2), shape.at(-1)];
  const count = length / size;
  if (x.shape && shape.every((each) => each === 1)) return x;
  const of = [1, length];
  if (!x.shape || shape.length > 4 || !of.includes(queries) || !of.includes(keys)) throw unsupported(name, `"${x.name}" beside its scores has another shape`); // prettier-ignore
  const whole = shape.length < 2 ? g.Reshape(x, [1, keys]) : x;
  const outer = shape.slice(0, -2);
  const at = outer.length;
  if (queries === 1 || keys === 1) {
    const along = turned(g, whole, queries === 1 ? at + 1 : at, shift);
    const sizes = queries === keys ? [1, 1, 1] : queries === 1 ? [count, 1, size] : [count, size, 1];
    return g.Reshape(queries === keys ? whole : along, [...outer, ...sizes]);
  }
  const blocks = Array.from({ length: count }, (_, i) => {
    const begin = shift + i * size;
    return g.Unsqueeze(window(g, window(g, whole, at, begin, size), at + 1, begin, size), [at]);
  });
  return g.Concat(blocks, at);
}

/** Rotates a value along an axis to the left by `shift`. */
function turned(g: GraphBuilder, x: Value, axis: number, shift: number): Value {
  return shift === 0 ? x : window(g, x, axis, shift, x.shape![axis] as number);
}

/** A slice along an axis that wraps around at the end. */
function window(g: GraphBuilder, x: Value, axis: number, begin: number, size: number): Value {
  const length = x.shape![axis] as number;
  const end = begin + size;
  if (end <= length) return g.Slice(x, [begin], [end], [axis]);
  return g.Concat([g.Slice(x, [begin], [length], [axis]), g.Slice(x, [0], [end - length], [axis])], axis);
}

function unsupported(name: string, what: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `Attention of "${name}" cannot be computed in groups: ${what}. Use a decoder exported with plain operators, or leave attentionGroups out.`); // prettier-ignore
}
