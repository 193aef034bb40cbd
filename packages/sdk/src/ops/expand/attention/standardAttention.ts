/** @file Attention of the standard domain (opset 23 and 24). */

import type { Value } from '../../../graph/builder.ts';
import {
  additive,
  appended,
  causal,
  joinHeads,
  lowest,
  range,
  repeatHeads,
  scores,
  sizeAt,
  softcapped,
  splitHeads,
} from './scaledDotProduct.ts';
import { type ExpansionSite, rankOf, type Rule, staticDim } from '../site.ts';

/**
 * Attention with Q, K and V `[batch, positions, hidden]` or `[batch, heads, positions, width]`. Output 3 has ONNX
 * Runtime's modes: plain scores, after softcap, with masks, after softmax. Not: windows (25), softmax in another
 * precision.
 */
export const standardAttention: Rule = (site) => {
  const [query, key, value, mask, pastKey, pastValue, lengths] = site.inputs;
  if (!query || !key || !value || !pastKey !== !pastValue) return undefined;
  const isJoined = rankOf(query) === 3;
  const heads = isJoined ? site.of('q_num_heads') : staticDim(query, 1);
  const groups = isJoined ? site.of('kv_num_heads') : staticDim(key, 1);
  if (!heads || !groups || heads % groups !== 0 || ![3, 4].includes(rankOf(query) ?? 0)) return undefined;
  const { g } = site;
  const byHead = (x: Value, count: number): Value => (isJoined ? splitHeads(site, x, count) : x);
  const q = byHead(query, heads);
  const k = appended(site, pastKey, byHead(key, groups));
  const v = appended(site, pastValue, byHead(value, groups));
  const times = heads / groups;

  const plain = scores(site, q, repeatHeads(site, k, groups, times), site.float('scale', undefined), []);
  if (!plain) return undefined;
  const capped = softcapped(site, plain);
  const masks = maskAddends(site, { q, k, mask, pastKey, lengths });
  if (!masks) return undefined;
  const score = masks.reduce((sum, each) => g.Add(sum, each), capped);
  const weights = g.Softmax(score, -1);
  const hidden = g.MatMul(weights, repeatHeads(site, v, groups, times));
  const shown = [plain, capped, score, weights][site.int('qk_matmul_output_mode', 0)];
  return [isJoined ? joinHeads(site, hidden) : hidden, k, v, shown];
};

function maskAddends(
  site: ExpansionSite,
  inputs: Readonly<Record<'q' | 'k', Value> & Record<'mask' | 'pastKey' | 'lengths', Value | undefined>>,
): readonly Value[] | undefined {
  const { g } = site;
  const { q, k, mask, pastKey, lengths } = inputs;
  const addends: Value[] = [];
  const hide = (condition: Value): Value => additive(site, condition, lowest(site));
  const keys = sizeAt(site, k, 2);
  if (mask) {
    if (rankOf(mask) === undefined || rankOf(mask)! < 2) return undefined;
    addends.push(mask.type === 'bool' ? hide(mask) : mask);
  }
  if (site.int('is_causal', 0) === 1) {
    // Queries follow the past, or start at 0 with lengths alone.
    addends.push(hide(causal(site, sizeAt(site, q, 2), keys, pastKey && sizeAt(site, pastKey, 2))));
  }
  if (lengths) {
    const columns = g.Unsqueeze(range(site, undefined, keys), [0]);
    addends.push(hide(g.Unsqueeze(g.Less(columns, g.Unsqueeze(lengths, [1])), [1, 2])));
  }
  return addends;
}
