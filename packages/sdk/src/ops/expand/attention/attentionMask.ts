/** @file ONNX Runtime's masked attention by head: the forms of mask_index and key_padding_mask as additive masks. */

import type { Value } from '../../../graph/builder.ts';
import { multiply } from '../../dim.ts';
import { additive, appended, attend, causal, lowest, positive, range, scores, sizeAt } from './scaledDotProduct.ts';
import { type ExpansionSite, staticDim } from '../site.ts';

interface MaskContext {
  /** A value with the batch on axis 0. */
  readonly batched: Value;
  /** Number of queries and keys, int64 `[1]`. */
  readonly queries: Value;
  readonly keys: Value;
  /** Number of keys before the first query; undefined for none. */
  readonly past: Value | undefined;
  /** Addend of a hidden key. */
  readonly filter: number;
}

/**
 * Additive mask from lengths `[batch]`; ends and starts `[2·batch]`; or ones `[batch, keys]`, `[batch, queries, keys]`
 * or `[batch, 1, longest, longest]`. Undefined for other forms.
 */
function maskAddend(site: ExpansionSite, mask: Value, context: MaskContext): Value | undefined {
  const { g } = site;
  const { past, queries, keys, filter } = context;
  const hide = (condition: Value): Value => additive(site, condition, filter);
  switch (mask.shape?.length) {
    case 1: {
      const seen = withinBounds(site, mask, context);
      return seen && hide(g.Unsqueeze(seen, [1, 2]));
    }
    case 2:
      return hide(g.Unsqueeze(positive(site, mask), [1, 2]));
    case 3:
      return hide(g.Unsqueeze(positive(site, mask), [1]));
    case 4: {
      const first = past ?? g.ints([0]);
      const end = past ? g.Add(past, queries) : queries;
      const rows = g.emit('Slice', [mask, first, end, g.ints([2])]);
      return hide(positive(site, g.emit('Slice', [rows, g.ints([0]), keys, g.ints([3])])));
    }
    default:
      return undefined;
  }
}

/** Keys between start and end: bool `[batch, keys]`. */
function withinBounds(site: ExpansionSite, mask: Value, { batched, keys }: MaskContext): Value | undefined {
  const { g } = site;
  const [batch, count] = [batched.shape?.[0], mask.shape?.[0]];
  if (typeof batch === 'number' && typeof count === 'number' && count !== batch && count !== 2 * batch)
    return undefined;
  const given = site.cast(mask, 'int64');
  const columns = g.Unsqueeze(range(site, undefined, keys), [0]);
  if (count === batch) return g.Less(columns, g.Unsqueeze(given, [1]));
  const size = sizeAt(site, batched, 0);
  // If the form is unknown, missing starts are zeros.
  const isSure = batch !== undefined && count === multiply(2, batch);
  const bounds = isSure ? given : g.Concat([given, g.Expand(g.ints([0]), size)], 0);
  const ends = g.emit('Slice', [bounds, g.ints([0]), size, g.ints([0])]);
  const starts = g.emit('Slice', [bounds, size, g.Add(size, size), g.ints([0])]);
  return g.And(g.Less(columns, g.Unsqueeze(ends, [1])), g.GreaterOrEqual(columns, g.Unsqueeze(starts, [1])));
}

/** Masked attention by head behind a past. Undefined for an unknown form of the mask or a needed size. */
export function maskedAttention(
  site: ExpansionSite,
  inputs: Readonly<
    Record<'q' | 'k' | 'v' | 'batched', Value> &
      Record<'mask' | 'attentionBias' | 'pastKey' | 'pastValue', Value | undefined>
  >,
): Readonly<Record<'hidden' | 'keys' | 'values' | 'score', Value>> | undefined {
  const { q, batched, mask, attentionBias, pastKey, pastValue } = inputs;
  const keys = appended(site, pastKey, inputs.k);
  const values = appended(site, pastValue, inputs.v);
  const unidirectional = site.int('unidirectional', 0) === 1 && staticDim(q, 2) !== 1;
  const masks: (Value | undefined)[] = [attentionBias];
  if (mask || unidirectional) {
    const [queryCount, keyCount] = [sizeAt(site, q, 2), sizeAt(site, keys, 2)];
    const past = pastKey && sizeAt(site, pastKey, 2);
    const filter = site.float('mask_filter_value', -10000);
    const addend = mask && maskAddend(site, mask, { batched, queries: queryCount, keys: keyCount, past, filter });
    if (mask && !addend) return undefined;
    const seen = unidirectional ? causal(site, queryCount, keyCount, past) : undefined;
    masks.push(addend, seen && additive(site, seen, lowest(site)));
  }
  const score = scores(site, q, keys, site.float('scale', 0) || undefined, masks);
  return score && { hidden: attend(site, score, values), keys, values, score };
}
