/** @file The forms of mask_index and key_padding_mask in ONNX Runtime's attention, as something to add to the scores. */

import type { Value } from '../../../graph/builder.ts';
import { multiply } from '../../dim.ts';
import { additive, positive, range, sizeAt } from './scaledDotProduct.ts';
import type { ExpansionSite } from '../site.ts';

/** What the meaning of a mask depends on. */
export interface MaskContext {
  /** A value whose first axis is the batch, for its size. */
  readonly batched: Value;
  /** Number of queries and of keys, one-dimensional of one element. */
  readonly queries: Value;
  readonly keys: Value;
  /** How many keys precede the first query; undefined for none. */
  readonly past: Value | undefined;
  /** What is added where a key is hidden. */
  readonly filter: number;
}

/**
 * A mask as an addend of `[batch, heads, queries, keys]`: lengths `[batch]`; ends and starts `[2·batch]`; ones and zeros
 * `[batch, keys]`, `[batch, queries, keys]` or `[batch, 1, longest, longest]`. Undefined where the form is not known.
 */
export function maskAddend(site: ExpansionSite, mask: Value, context: MaskContext): Value | undefined {
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

/** Which keys lie before the end, and not before the start where there are starts: bool `[batch, keys]`. */
function withinBounds(site: ExpansionSite, mask: Value, { batched, keys }: MaskContext): Value | undefined {
  const { g } = site;
  const [batch, count] = [batched.shape?.[0], mask.shape?.[0]];
  if (typeof batch === 'number' && typeof count === 'number' && count !== batch && count !== 2 * batch)
    return undefined;
  const given = site.cast(mask, 'int64');
  const columns = g.Unsqueeze(range(site, undefined, keys), [0]);
  if (count === batch) return g.Less(columns, g.Unsqueeze(given, [1]));
  const size = sizeAt(site, batched, 0);
  // Where it is open which form it is, missing starts are zeros.
  const isSure = batch !== undefined && count === multiply(2, batch);
  const bounds = isSure ? given : g.Concat([given, g.Expand(g.ints([0]), size)], 0);
  const ends = g.emit('Slice', [bounds, g.ints([0]), size, g.ints([0])]);
  const starts = g.emit('Slice', [bounds, size, g.Add(size, size), g.ints([0])]);
  return g.And(g.Less(columns, g.Unsqueeze(ends, [1])), g.GreaterOrEqual(columns, g.Unsqueeze(starts, [1])));
}
