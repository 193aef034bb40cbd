/** @file Shape inference of attention. */

import { attributeOf } from '../schema.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { add, divideExactly, multiply } from '../dim.ts';
import { input, like, type Rule, shaped } from './site.ts';

type Shape = readonly Dim[] | undefined;

function widened(shape: Shape, last: Dim | undefined): Shape {
  return shape && last !== undefined ? [...shape.slice(0, -1), last] : undefined;
}

/** Result `[batch, positions, values]`, present `[2, batch, heads, past + positions, width]`. */
const packedAttention =
  (typed: number, pastInput: number): Rule =>
  (site) => {
    const [{ shape }, weight, past] = [input(site), input(site, 1).shape, input(site, pastInput).shape];
    const { type } = input(site, typed);
    const width = weight?.[1] === undefined ? undefined : divideExactly(weight[1], 3);
    const values = intsAttribute(site.node, 'qkv_hidden_sizes')?.[2] ?? width;
    const heads = attributeOf(site.node, 'num_heads');
    const size = values === undefined || heads < 1 ? undefined : divideExactly(values, heads);
    const [batch, positions] = shape ?? [];
    const known = batch !== undefined && positions !== undefined && size !== undefined;
    const total = known ? (past ? add(past[3]!, positions) : positions) : undefined;
    return [
      { type, shape: widened(shape, values) },
      { type, shape: known && (past || !site.inputs[pastInput]) ? [2, batch, heads, total!, size] : undefined },
    ];
  };

/** Present keys or values after the past, from `[batch, positions, hidden]` or `[batch, heads, positions, width]`. */
function present(shape: Shape, past: ValueType | undefined, heads: number): Shape {
  if (!shape || (past && !past.shape)) return undefined;
  const byHead =
    shape.length === 4 ? shape : [shape[0]!, heads, shape[1]!, divideExactly(shape[2]!, heads) ?? undefined];
  const [batch, count, positions, width] = byHead;
  if (width === undefined) return undefined;
  const total = past ? add(past.shape![2]!, positions!) : positions!;
  return [batch!, count!, total, width];
}

const multiHeadAttention: Rule = (site) => {
  const [query, key, value] = [0, 1, 2].map((i) => input(site, i).shape);
  const heads = attributeOf(site.node, 'num_heads');
  const { type } = input(site);
  if (!query || heads < 1 || query.length > 3 || (key?.length ?? 5) > 4 || !value) return [{ type }];
  const hidden = value.length === 4 ? multiply(value[1]!, value[3]!) : value[2];
  const isDecoder = site.node.opType === 'DecoderMaskedMultiHeadAttention';
  const [pastKey, pastValue] = isDecoder ? [site.inputs[5], site.inputs[6]] : [site.inputs[6], site.inputs[7]];
  const keys = present(key, pastKey, heads);
  return [
    { type, shape: widened(query, hidden) },
    { type, shape: keys },
    { type, shape: present(value, pastValue, heads) },
    { type, shape: keys && [query[0]!, heads, query[1]!, keys[2]!] },
  ];
};

const groupQueryAttention: Rule = (site) => {
  const [{ type, shape }, key, value] = [input(site), site.inputs[1], site.inputs[2]];
  const [heads, groups] = [attributeOf(site.node, 'num_heads'), attributeOf(site.node, 'kv_num_heads')];
  if (!shape || heads < 1 || groups < 1) return [{ type }];
  // Queries, keys and values may be packed.
  const width = divideExactly(shape[2]!, key ? heads : heads + 2 * groups);
  if (width === undefined) return [{ type }];
  const packed = [shape[0]!, shape[1]!, multiply(groups, width)];
  return [
    { type, shape: widened(shape, multiply(heads, width)) },
    { type, shape: present(key ? key.shape : packed, site.inputs[3], groups) },
    { type, shape: present(value ? value.shape : packed, site.inputs[4], groups) },
  ];
};

/** Standard Attention: results are by head or joined, as the queries. */
const standardAttention: Rule = (site) => {
  const [query, key, value] = [0, 1, 2].map((i) => input(site, i).shape);
  const { type } = input(site);
  if (!query || !key || !value) return [{ type }];
  const isJoined = query.length === 3;
  const groups = isJoined ? attributeOf(site.node, 'kv_num_heads') : Number(key[1]);
  const heads = isJoined ? attributeOf(site.node, 'q_num_heads') : query[1]!;
  if (isJoined && (groups < 1 || Number(heads) < 1)) return [{ type }];
  const [keys, values] = [present(key, site.inputs[4], groups), present(value, site.inputs[5], groups)];
  const width = values?.[3];
  const positions = query[isJoined ? 1 : 2]!;
  return [
    { type, shape: widened(query, width === undefined || !isJoined ? width : multiply(heads, width)) },
    { type, shape: keys },
    { type, shape: values },
    { type, shape: keys && [query[0]!, heads, positions, keys[2]!] },
  ];
};

const attention: Rule = (site) =>
  site.node.domain === 'com.microsoft' ? packedAttention(0, 4)(site) : standardAttention(site);

/** Bias by distance of query and key: `[1, heads, queries, keys]`. */
const relativePositionBias = shaped((shape, site) => {
  const [queries, keys] = [input(site, 1).ints?.[0], input(site, 2).ints?.[0]];
  return queries === undefined || keys === undefined ? undefined : [1, shape[1]!, queries, keys];
});

/** The bias gated by each query: `[batch, heads, queries, keys]`. */
const gatedRelativePositionBias = shaped((shape, site) => {
  const bias = input(site, 2).shape;
  return shape.length === 3 && bias?.length === 4 ? [shape[0]!, ...bias.slice(1)] : undefined;
});

export const attentionRules: Readonly<Record<string, Rule>> = {
  Attention: attention,
  QAttention: packedAttention(3, 8),
  LongformerAttention: like(1),
  MultiHeadAttention: multiHeadAttention,
  DecoderMaskedMultiHeadAttention: multiHeadAttention,
  GroupQueryAttention: groupQueryAttention,
  RelativePositionBias: relativePositionBias,
  GatedRelativePositionBias: gatedRelativePositionBias,
};
